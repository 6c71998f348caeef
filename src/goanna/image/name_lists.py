"""The texts of /etc/services, /etc/protocols and /etc/mime.types: the names that programs ask for.

Numbers and types are those that IANA has assigned; the choice is what general-purpose systems use.
"""

from __future__ import annotations

_SERVICES = {
    "tcpmux": "1/tcp", "echo": "7/tcp 7/udp", "discard": "9/tcp 9/udp", "daytime": "13/tcp", "chargen": "19/tcp 19/udp",
    "ftp-data": "20/tcp", "ftp": "21/tcp", "ssh": "22/tcp", "telnet": "23/tcp", "smtp": "25/tcp",
    "time": "37/tcp 37/udp", "whois": "43/tcp", "tacacs": "49/tcp 49/udp", "domain": "53/tcp 53/udp",
    "bootps": "67/udp", "bootpc": "68/udp", "tftp": "69/udp", "gopher": "70/tcp", "finger": "79/tcp", "http": "80/tcp",
    "kerberos": "88/tcp 88/udp", "iso-tsap": "102/tcp", "pop3": "110/tcp", "sunrpc": "111/tcp 111/udp",
    "auth": "113/tcp", "nntp": "119/tcp", "ntp": "123/udp", "epmap": "135/tcp", "netbios-ns": "137/udp",
    "netbios-dgm": "138/udp", "netbios-ssn": "139/tcp", "imap2": "143/tcp", "snmp": "161/tcp 161/udp",
    "snmp-trap": "162/tcp 162/udp", "bgp": "179/tcp", "irc": "194/tcp", "ldap": "389/tcp 389/udp",
    "https": "443/tcp 443/udp", "microsoft-ds": "445/tcp 445/udp", "kpasswd": "464/tcp 464/udp",
    "submissions": "465/tcp", "isakmp": "500/udp", "exec": "512/tcp", "login": "513/tcp", "shell": "514/tcp",
    "syslog": "514/udp", "printer": "515/tcp", "route": "520/udp", "uucp": "540/tcp", "nntps": "563/tcp",
    "submission": "587/tcp", "ipp": "631/tcp", "ldaps": "636/tcp 636/udp", "domain-s": "853/tcp 853/udp",
    "rsync": "873/tcp", "imaps": "993/tcp", "pop3s": "995/tcp", "socks": "1080/tcp", "openvpn": "1194/tcp 1194/udp",
    "ms-sql-s": "1433/tcp", "ms-sql-m": "1434/udp", "l2f": "1701/udp", "radius": "1812/tcp 1812/udp",
    "radius-acct": "1813/tcp 1813/udp", "nfs": "2049/tcp 2049/udp", "cvspserver": "2401/tcp", "mysql": "3306/tcp",
    "ms-wbt-server": "3389/tcp", "svn": "3690/tcp", "epmd": "4369/tcp", "sip": "5060/tcp 5060/udp",
    "sip-tls": "5061/tcp 5061/udp", "xmpp-client": "5222/tcp", "xmpp-server": "5269/tcp", "mdns": "5353/udp",
    "postgresql": "5432/tcp", "amqp": "5672/tcp", "x11": "6000/tcp", "redis": "6379/tcp", "http-alt": "8080/tcp",
    "git": "9418/tcp",
}  # fmt: skip

_PROTOCOLS = {
    "ip": 0, "icmp": 1, "igmp": 2, "ggp": 3, "ipencap": 4, "tcp": 6, "egp": 8, "igp": 9, "pup": 12, "udp": 17,
    "hmp": 20, "xns-idp": 22, "rdp": 27, "iso-tp4": 29, "dccp": 33, "ddp": 37, "idpr-cmtp": 38, "ipv6": 41,
    "ipv6-route": 43, "ipv6-frag": 44, "idrp": 45, "rsvp": 46, "gre": 47, "esp": 50, "ah": 51, "skip": 57,
    "ipv6-icmp": 58, "ipv6-nonxt": 59, "ipv6-opts": 60, "vmtp": 81, "eigrp": 88, "ospf": 89, "ipip": 94, "etherip": 97,
    "encap": 98, "pim": 103, "ipcomp": 108, "vrrp": 112, "l2tp": 115, "isis": 124, "sctp": 132, "mobility-header": 135,
    "udplite": 136, "mpls-in-ip": 137, "hip": 139, "shim6": 140, "wesp": 141, "rohc": 142,
}  # fmt: skip

_TYPES = {
    "application/atom+xml": "atom", "application/epub+zip": "epub", "application/gzip": "gz",
    "application/java-archive": "jar", "application/json": "json", "application/ld+json": "jsonld",
    "application/manifest+json": "webmanifest", "application/msword": "doc", "application/octet-stream": "bin deb iso",
    "application/pdf": "pdf", "application/postscript": "ps ai eps", "application/rtf": "rtf",
    "application/vnd.ms-excel": "xls", "application/vnd.ms-fontobject": "eot", "application/vnd.ms-powerpoint": "ppt",
    "application/vnd.oasis.opendocument.presentation": "odp", "application/vnd.oasis.opendocument.spreadsheet": "ods",
    "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx", "application/wasm": "wasm",
    "application/x-7z-compressed": "7z", "application/x-bzip2": "bz2", "application/x-sh": "sh",
    "application/x-tar": "tar", "application/xhtml+xml": "xhtml xht", "application/yaml": "yaml yml",
    "application/zip": "zip", "application/zstd": "zst", "audio/aac": "aac", "audio/flac": "flac",
    "audio/midi": "mid midi", "audio/mpeg": "mp3 mpga", "audio/ogg": "oga ogg opus", "audio/x-wav": "wav",
    "font/otf": "otf", "font/ttf": "ttf", "font/woff": "woff", "font/woff2": "woff2", "image/avif": "avif",
    "image/bmp": "bmp", "image/gif": "gif", "image/heic": "heic", "image/jpeg": "jpeg jpg jpe", "image/png": "png",
    "image/svg+xml": "svg svgz", "image/tiff": "tiff tif", "image/vnd.microsoft.icon": "ico", "image/webp": "webp",
    "message/rfc822": "eml", "text/calendar": "ics", "text/css": "css", "text/csv": "csv",
    "text/html": "html htm shtml", "text/javascript": "js mjs", "text/markdown": "md markdown",
    "text/plain": "asc txt text pot conf log", "text/tab-separated-values": "tsv", "text/vcard": "vcf vcard",
    "text/vtt": "vtt", "text/xml": "xml xsl", "video/mp4": "mp4 m4v", "video/mpeg": "mpeg mpg mpe", "video/ogg": "ogv",
    "video/quicktime": "qt mov", "video/webm": "webm", "video/x-matroska": "mkv", "video/x-msvideo": "avi",
}  # fmt: skip

SERVICES = "".join(f"{name}\t{each}\n" for name, ports in _SERVICES.items() for each in ports.split())
PROTOCOLS = "".join(f"{name}\t{number}\t{name.upper()}\n" for name, number in _PROTOCOLS.items())
MIME_TYPES = "".join(f"{kind}\t{endings}\n" for kind, endings in _TYPES.items())

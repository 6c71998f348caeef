"""What execve does to identities and capabilities: set-user-ID files, root's capabilities (capabilities(7), Linux
security/commoncap.c, cap_bprm_creds_from_file)."""

from goanna.kernel.file.attributes import Attributes
from goanna.kernel.thread.process import Credentials
from goanna.metal import copy, metal

__all__ = ["credentials_for"]

SET_USER = 0o4000
SET_GROUP = 0o2000
GROUP_EXECUTES = 0o0010


@metal
def credentials_for(new: Credentials, old: Credentials, file: Attributes) -> bool:
    """Fill in what a process with the credentials `old` has once it runs a file. Whether the program is to distrust its
    environment (AT_SECURE)."""
    copy(new, old)
    new.keep_capabilities = False
    if not old.no_new_privileges:
        if file.mode & SET_USER != 0:
            new.effective_user = file.user
        if file.mode & (SET_GROUP | GROUP_EXECUTES) == SET_GROUP | GROUP_EXECUTES:
            new.effective_group = file.group
    changed = new.effective_user != new.user or new.effective_group != new.group
    gained = new.effective_user != old.effective_user or new.effective_group != old.effective_group
    new.saved_user = new.effective_user
    new.file_user = new.effective_user
    new.saved_group = new.effective_group
    new.file_group = new.effective_group
    if gained and changed:
        new.ambient = 0
    new.permitted = 0
    if new.user == 0 or new.effective_user == 0:
        new.permitted = old.bounding | old.inheritable
    new.permitted |= new.ambient
    new.effective = new.permitted if new.effective_user == 0 else new.ambient
    return changed or (new.user != 0 and new.permitted & ~new.ambient != 0)

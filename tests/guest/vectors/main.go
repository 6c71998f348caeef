// Vectors runs code that uses SSE and AVX (and AVX-512 where the processor has it: QEMU's TCG has none, so that stays
// untested there), first alone, then on many goroutines that are preempted: no vector register may be lost.
package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash/adler32"
	"hash/crc32"
	"hash/crc64"
	"math"
	"math/big"
	"math/bits"
	"math/cmplx"
	"strings"
	"sync"
)

func main() {
	numbers()
	hashes()
	sealed()
	signed()
	texts()
	together()
}

func numbers() {
	two := 2.0
	sum, product := 0.0, 1.0
	for i := 1; i <= 1000; i++ {
		x := float64(i)
		sum += math.Sin(x)*math.Exp(-x/500) + math.FMA(x, 1/x, math.Sqrt(x)) + math.Log1p(x) + math.Cbrt(x)
		product *= 1 + 1/(x*x)
	}
	fmt.Printf("floats %x %x %v\n", sum, product, cmplx.Pow(1+2i, 3-1i))
	fmt.Println("rounding", math.Floor(-2.5), math.Ceil(2.1), math.Trunc(-2.9), math.RoundToEven(2.5), math.Float32bits(float32(1)/3))
	fmt.Println("specials", math.Inf(1)-math.Inf(1), math.Copysign(0, -1), math.MaxFloat64*two, 1/math.Inf(-1), math.SmallestNonzeroFloat64/two)
	high, low := bits.Mul64(0xdeadbeefcafebabe, 0x123456789abcdef0)
	fmt.Printf("bits %x %x %d %d\n", high, low, bits.OnesCount64(high), bits.LeadingZeros64(low))
	n := new(big.Int).Exp(big.NewInt(3), big.NewInt(5000), nil)
	m := new(big.Int).Exp(big.NewInt(65537), n, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 521), big.NewInt(1)))
	fmt.Printf("big %x\n", m)
}

func hashes() {
	data := bytes.Repeat([]byte("all work and no play "), 5000)
	fmt.Printf("md5 %x\nsha1 %x\nsha256 %x\nsha512 %x\n", md5.Sum(data), sha1.Sum(data), sha256.Sum256(data), sha512.Sum512(data))
	fmt.Printf("crc32 %x %x crc64 %x adler %x\n", crc32.ChecksumIEEE(data), crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)),
		crc64.Checksum(data, crc64.MakeTable(crc64.ECMA)), adler32.Checksum(data))
	mac := hmac.New(sha256.New, []byte("key"))
	mac.Write(data)
	fmt.Printf("hmac %x\n", mac.Sum(nil))
}

func sealed() {
	block, err := aes.NewCipher([]byte("an AES-256 key, as we need it..."))
	if err != nil {
		fmt.Println(err)
		return
	}
	gcm, _ := cipher.NewGCM(block)
	secret := gcm.Seal(nil, make([]byte, 12), bytes.Repeat([]byte{7}, 1000), []byte("header"))
	fmt.Printf("gcm %x\n", sha256.Sum256(secret))
	plain, err := gcm.Open(nil, make([]byte, 12), secret, []byte("header"))
	fmt.Println("opened", len(plain), err)
	stream := cipher.NewCTR(block, make([]byte, 16))
	out := make([]byte, 1000)
	stream.XORKeyStream(out, out)
	fmt.Printf("ctr %x\n", sha256.Sum256(out))
}

func signed() {
	edwards := ed25519.NewKeyFromSeed(make([]byte, 32))
	signature := ed25519.Sign(edwards, []byte("message"))
	fmt.Printf("ed25519 %x %t\n", signature, ed25519.Verify(edwards.Public().(ed25519.PublicKey), []byte("message"), signature))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		fmt.Println(err)
		return
	}
	digest := sha256.Sum256([]byte("message"))
	proof, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	fmt.Println("ecdsa", err, ecdsa.VerifyASN1(&key.PublicKey, digest[:], proof))
	private, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		fmt.Println("rsa", err)
		return
	}
	fmt.Println("rsa", private.Validate())
}

func texts() {
	text := strings.Repeat("a", 4000) + "needle" + strings.Repeat("b", 4000)
	fmt.Println("strings", strings.Index(text, "needle"), strings.LastIndexByte(text, 'a'), strings.Count(text, "b"), bytes.Equal([]byte(text), []byte(text[:8006])))
}

// together hashes and multiplies on sixteen goroutines at once; each must get what it gets alone.
func together() {
	work := func(seed int) string {
		data := bytes.Repeat([]byte{byte(seed)}, 4096)
		x := float64(seed) + 0.5
		for i := 0; i < 60; i++ {
			sum := sha256.Sum256(data)
			copy(data[i*32:], sum[:])
			for j := 0; j < 500; j++ {
				x = math.FMA(x, 1.0000001, math.Sqrt(x)*1e-9)
			}
		}
		return fmt.Sprintf("%x %x", crc32.ChecksumIEEE(data), x)
	}
	var want, got [16]string
	for i := range want {
		want[i] = work(i)
	}
	for round := 0; round < 5; round++ {
		var done sync.WaitGroup
		for i := range got {
			done.Add(1)
			go func(i int) {
				defer done.Done()
				got[i] = work(i)
			}(i)
		}
		done.Wait()
		if got != want {
			fmt.Println("vector state was lost in round", round)
			return
		}
	}
	fmt.Println("together", want[15])
}

package httpparse

import "testing"

func TestValidAuthority(t *testing.T) {
	tests := map[bool][]string{
		true: {
			"a", "A.Example", "a-b.c_d.~e", "xn--bcher-kva.example", "example.com.",
			"a:", "a:0", "a:80", "a:65535", "a:00080",
			"127.0.0.1", "127.0.0.1:80", "1.2.3", "999.0.0.1", // a name too, by the grammar
			"%41", "%c3%A9.example", "a%20b",
			"!$&'()*+,;=-._~",
			"[::]", "[::1]", "[::1]:", "[::1]:80", "[2001:DB8::a]",
			"[1:2:3:4:5:6:7:8]", "[1:2:3:4:5:6:7::]", "[::2:3:4:5:6:7:8]",
			"[::ffff:1.2.3.4]", "[1:2:3:4:5:6:1.2.3.4]",
		},
		false: {
			"", ":", ":80", "a:b", "a:8x", "a:-1", "a:+1", "a: 80", "a:65536", "a:99999", "a:18446744073709551697", "a:80:80", "a::80",
			"a b", " a", "a ", "a\tb", "u@a", "u:p@a", "@a", "a/b", "a?b", "a#b", `a\b`, `"a"`, "a<b", "a>b", "a^b", "a`b", "a|b", "a{b", "a}b",
			"a\x00b", "a\x7fb", "caf\xc3\xa9", "%", "%4", "%4g", "a%", "%%41",
			"::1", "::1]", "[::1", "[", "]", "[]", "[]:80", "[:]", "[::1]a", "a[::1]", "[[::1]]", "[::1][::1]", "[::1]:80:80", "[::1]:b", "[::1] :80",
			"[::g]", "[:::]", "[1:2:3:4:5:6:7]", "[1:2:3:4:5:6:7:8:9]", "[1:2:3:4:5:6:7:8::]", "[1::2::3]", "[12345::]",
			"[127.0.0.1]", "[::1.2.3]", "[::1.2.3.256]", "[::01.2.3.4]", "[a]", "[localhost]",
			"[fe80::1%lo]", "[fe80::1%25lo]", "[::1%]", "[v1.a]", "[::1/64]",
		},
	}
	for want, list := range tests {
		for _, s := range list {
			if got := validAuthority([]byte(s)); got != want {
				t.Errorf("%q: got %v", s, got)
			}
		}
	}
}

// No byte but these may stand in a name (RFC 3986 section 3.2.2).
func TestHostNameBytes(t *testing.T) {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;="
	var want [256]bool
	for _, c := range []byte(allowed) {
		want[c] = true
	}
	for c := range 256 {
		if got := scanHost([]byte{'a', byte(c)}) == 2; got != want[c] {
			t.Errorf("%q: got %v", byte(c), got)
		}
	}
}

//go:build !amd64

package httpparse

var hasAVX2 = false

func takeLinesAVX2(b []byte, at int, free []Field) (n, next int) { panic("not on this machine") }

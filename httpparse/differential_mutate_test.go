package httpparse

import (
	"bytes"
	"math/rand/v2"
	"slices"
)

// mutant is the request that a seed stands for: the same one each time.
func mutant(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 9112))
	b := seedRequest(r)
	for range mutations[r.IntN(len(mutations))] {
		b = mutators[r.IntN(len(mutators))](r, b)
	}
	return b
}

// mutations are how many of them a mutant gets: mostly few, as most of those
// with many are refused by everybody at the first one.
var mutations = []int{0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 4}

func seedRequest(r *rand.Rand) []byte {
	if r.IntN(150) == 0 {
		return []byte(pick(r, diffLongSeeds))
	}
	return []byte(pick(r, diffSeeds))
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// mutators change b or make another. None needs b to be well-formed.
var mutators = []func(r *rand.Rand, b []byte) []byte{
	insertNasty, insertNasty, replaceNasty, replaceNasty, deleteRange, duplicateRange, swapBytes,
	duplicateLine, swapLines, deleteLine, flipCase, insertLine, insertLine, insertLine, changeLineEnd, changeLineEnd,
	splice, insertBlank, insertBlank, changeNumber, changeNumber, truncate,
}

func insertNasty(r *rand.Rand, b []byte) []byte {
	return slices.Insert(b, r.IntN(len(b)+1), []byte(pick(r, nasty))...)
}

func replaceNasty(r *rand.Rand, b []byte) []byte {
	i, j := byteRange(r, b, 2)
	return slices.Replace(b, i, j, []byte(pick(r, nasty))...)
}

func deleteRange(r *rand.Rand, b []byte) []byte {
	i, j := byteRange(r, b, 8)
	return slices.Delete(b, i, j)
}

func duplicateRange(r *rand.Rand, b []byte) []byte {
	i, j := byteRange(r, b, 16)
	return slices.Insert(b, j, bytes.Clone(b[i:j])...)
}

func swapBytes(r *rand.Rand, b []byte) []byte {
	if len(b) > 1 {
		i := r.IntN(len(b) - 1)
		j := i + 1 + r.IntN(min(4, len(b)-1-i))
		b[i], b[j] = b[j], b[i]
	}
	return b
}

// byteRange is a range of up to n bytes.
func byteRange(r *rand.Rand, b []byte, n int) (i, j int) {
	i = r.IntN(len(b) + 1)
	return i, i + r.IntN(min(n, len(b)-i)+1)
}

// lines are those of b with their ends.
func lines(b []byte) [][]byte { return bytes.SplitAfter(bytes.Clone(b), []byte("\n")) }

func duplicateLine(r *rand.Rand, b []byte) []byte {
	l := lines(b)
	i := r.IntN(len(l))
	return bytes.Join(slices.Insert(l, r.IntN(len(l)), l[i]), nil)
}

func swapLines(r *rand.Rand, b []byte) []byte {
	l := lines(b)
	i, j := r.IntN(len(l)), r.IntN(len(l))
	l[i], l[j] = l[j], l[i]
	return bytes.Join(l, nil)
}

func deleteLine(r *rand.Rand, b []byte) []byte {
	l := lines(b)
	i := r.IntN(len(l))
	return bytes.Join(slices.Delete(l, i, i+1), nil)
}

func insertLine(r *rand.Rand, b []byte) []byte {
	l := lines(b)
	return bytes.Join(slices.Insert(l, r.IntN(len(l)), []byte(pick(r, nastyLines)+"\r\n")), nil)
}

func flipCase(r *rand.Rand, b []byte) []byte {
	i, j := byteRange(r, b, 12)
	for k := i; k < j; k++ {
		if c := b[k] | 0x20; 'a' <= c && c <= 'z' {
			b[k] ^= 0x20
		}
	}
	return b
}

func changeLineEnd(r *rand.Rand, b []byte) []byte {
	l := lines(b)
	i := r.IntN(len(l))
	if text, found := bytes.CutSuffix(l[i], []byte("\r\n")); found {
		l[i] = append(bytes.Clone(text), pick(r, []string{"\n", "\r", "\r\r\n", "\n\r", "\r\n ", "\r\n\t", " \r\n", "\t\r\n", "\r\n\r\n", "\x00\r\n", ""})...)
	}
	return bytes.Join(l, nil)
}

// splice puts the end of another request behind the start of b, mostly line by line.
func splice(r *rand.Rand, b []byte) []byte {
	other := seedRequest(r)
	if r.IntN(3) == 0 {
		return append(b[:r.IntN(len(b)+1)], other[r.IntN(len(other)+1):]...)
	}
	head, tail := lines(b), lines(other)
	return bytes.Join(append(head[:r.IntN(len(head)+1)], tail[r.IntN(len(tail)+1):]...), nil)
}

// insertBlank puts white space beside a separator.
func insertBlank(r *rand.Rand, b []byte) []byte {
	i := r.IntN(len(b) + 1)
	if at := bytes.IndexAny(b[i:], ":;,= \r/\""); at >= 0 {
		i += at + r.IntN(2)
	}
	return slices.Insert(b, i, []byte(pick(r, []string{" ", "\t", "  ", " \t", "\v", "\f", "\xa0"}))...)
}

func changeNumber(r *rand.Rand, b []byte) []byte {
	i := r.IntN(len(b) + 1)
	at := bytes.IndexAny(b[i:], "0123456789")
	if at < 0 {
		return b
	}
	i += at
	j := i
	for j < len(b) && unhex(b[j]) >= 0 {
		j++
	}
	return slices.Replace(b, i, j, []byte(pick(r, numbers))...)
}

func truncate(r *rand.Rand, b []byte) []byte { return b[:r.IntN(len(b)+1)] }

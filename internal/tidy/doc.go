// Package tidy holds the rules of this house as tests: which package may import
// which, what must be explained, how long a function may be. It has no code of
// its own and nothing imports it.
//
// It knows the module's source text and its go.mod; it runs nothing of what it
// reads. Modules nested in the tree, testdata and hidden folders are not its
// business. What a rule finds is said with the place, the rule and its reason, and
// "go test -v ./internal/tidy" also tells the sizes of packages and functions.
package tidy

// Package admin is what an operator asks a running server over HTTP.
//
// It knows a loop's counters and who may see them. It knows nothing of how the
// loop comes by them.
package admin

//go:build linux

package loop

import (
	"testing"
	"unsafe"
)

// What an idle connection costs, and a restart carries.
func TestRecordIsACacheLine(t *testing.T) {
	if n := unsafe.Sizeof(record{}); n != 64 {
		t.Errorf("a record has %d bytes", n)
	}
	if n := unsafe.Sizeof([pageSize]record{}); n != 16<<10 {
		t.Errorf("a page of records has %d bytes", n)
	}
}

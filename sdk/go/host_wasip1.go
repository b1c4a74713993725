//go:build wasip1

package weir

import "unsafe"

// weir_abi_v1 says which version of the ABI the module speaks.
//
//go:wasmexport weir_abi_v1
func abiVersion() {}

//go:wasmimport weir read
func importRead(field int32, ptr unsafe.Pointer, size uint32) int32

//go:wasmimport weir write
func importWrite(field int32, ptr unsafe.Pointer, size uint32) int32

//go:wasmimport weir get
func importGet(path unsafe.Pointer, pathSize uint32, ptr unsafe.Pointer, size uint32) int32

//go:wasmimport weir set
func importSet(path unsafe.Pointer, pathSize uint32, ptr unsafe.Pointer, size uint32) int32

//go:wasmimport weir remove
func importRemove(path unsafe.Pointer, pathSize uint32) int32

//go:wasmimport weir header
func importHeader(name unsafe.Pointer, nameSize uint32, ptr unsafe.Pointer, size uint32) int32

//go:wasmimport weir set_header
func importSetHeader(name unsafe.Pointer, nameSize uint32, ptr unsafe.Pointer, size uint32) int32

//go:wasmimport weir remove_header
func importRemoveHeader(name unsafe.Pointer, nameSize uint32) int32

//go:wasmimport weir emit
func importEmit() int32

//go:wasmimport weir log
func importLog(level int32, ptr unsafe.Pointer, size uint32)

//go:wasmimport weir fail
func importFail(ptr unsafe.Pointer, size uint32)

func bytesAt(b []byte) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))
}

func textAt(s string) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.StringData(s)), uint32(len(s))
}

func hostRead(field int32, buffer []byte) int32 {
	p, n := bytesAt(buffer)
	return importRead(field, p, n)
}

func hostWrite(field int32, value []byte) int32 {
	p, n := bytesAt(value)
	return importWrite(field, p, n)
}

func hostGet(path string, buffer []byte) int32 {
	s, k := textAt(path)
	p, n := bytesAt(buffer)
	return importGet(s, k, p, n)
}

func hostSet(path string, value []byte) int32 {
	s, k := textAt(path)
	p, n := bytesAt(value)
	return importSet(s, k, p, n)
}

func hostRemove(path string) int32 { return importRemove(textAt(path)) }

func hostHeader(name string, buffer []byte) int32 {
	s, k := textAt(name)
	p, n := bytesAt(buffer)
	return importHeader(s, k, p, n)
}

func hostSetHeader(name, value string) int32 {
	s, k := textAt(name)
	p, n := textAt(value)
	return importSetHeader(s, k, p, n)
}

func hostRemoveHeader(name string) int32 { return importRemoveHeader(textAt(name)) }

func hostEmit() int32 { return importEmit() }

func hostLog(level int32, text string) {
	p, n := textAt(text)
	importLog(level, p, n)
}

func hostFail(text string) { importFail(textAt(text)) }

//go:build !wasip1

package weir

// Outside of WebAssembly there is no host: reads find nothing, changes are not
// allowed.

const (
	nothing    = -1
	notAllowed = -3
)

func hostRead(int32, []byte) int32       { return nothing }
func hostWrite(int32, []byte) int32      { return notAllowed }
func hostGet(string, []byte) int32       { return nothing }
func hostSet(string, []byte) int32       { return notAllowed }
func hostRemove(string) int32            { return nothing }
func hostHeader(string, []byte) int32    { return nothing }
func hostSetHeader(string, string) int32 { return notAllowed }
func hostRemoveHeader(string) int32      { return nothing }
func hostEmit() int32                    { return notAllowed }
func hostLog(int32, string)              {}
func hostFail(string)                    {}

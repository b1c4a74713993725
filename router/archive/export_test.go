package archive

// SetRoom changes how many bytes of modules are kept.
func (a *Archive) SetRoom(n int) { a.room = n }

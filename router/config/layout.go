package config

import (
	"bytes"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Layout returns src in the canonical layout. Only white space changes. A source
// that does not parse is not touched: the report says why.
func Layout(filename string, src []byte) ([]byte, *Report) {
	r := &Report{Files: map[string]*hcl.File{}}
	if d := costly(src, filename); d != nil {
		r.Files[filename] = &hcl.File{Bytes: maskLines(src)}
		r.add(d)
		return nil, r
	}
	file, diags := hclsyntax.ParseConfig(src, filename, hcl.InitialPos)
	if diags.HasErrors() {
		r.Files[filename] = &hcl.File{Bytes: maskLines(src), Nav: file.Nav}
		for _, d := range diags {
			r.add(d)
		}
		return nil, r.finish()
	}
	out := hclwrite.Format(src)
	// One line break at the end, and no white space before it.
	if out = bytes.TrimRight(out, " \t\r\n"); len(out) > 0 {
		out = append(out, '\n')
	}
	return out, r
}

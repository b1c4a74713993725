package attempt

import (
	"encoding/base64"
	"unicode/utf8"

	"github.com/weirhq/weir/router/event"
	"github.com/weirhq/weir/router/rawjson"
)

// appendLine appends a body as one line of JSON. JSON stays as it is, but that
// line breaks, which stand between its tokens only, become spaces. Other text
// becomes a string; anything else an object with data_base64.
func appendLine(b []byte, contentType string, body []byte) []byte {
	switch {
	case event.IsJSON(contentType):
		for _, c := range body {
			if c == '\n' || c == '\r' {
				c = ' '
			}
			b = append(b, c)
		}
	case utf8.Valid(body):
		b = rawjson.AppendString(b, string(body))
	default:
		b = append(b, `{"data_base64":"`...)
		b = base64.StdEncoding.AppendEncode(b, body)
		b = append(b, `"}`...)
	}
	return append(b, '\n')
}

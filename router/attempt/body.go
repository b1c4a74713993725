package attempt

import (
	"github.com/weirhq/weir/router/config"
	"github.com/weirhq/weir/router/event"
)

// Body returns what a destination of the given format is sent for message number
// n of a route's results; several says that there was more than one. The
// attributes are headers that belong to it, with lower-case names: CloudEvents' in
// binary form. A body that is data alone is the message's own slice.
func Body(format config.Format, m *event.Message, n int, several bool) (body []byte, contentType string, attributes []event.Field) {
	size := len(m.Data) + len(m.ID)*2 + len(m.Type) + 128
	switch format {
	case config.FormatRaw:
		return m.Data, m.ContentType, nil
	case config.FormatCloudEvents:
		return m.AppendCloudEvent(make([]byte, 0, size+256), n, several), event.CloudEventType, nil
	case config.FormatCloudEventsBinary:
		attributes, contentType = m.CloudEventHeader(n, several)
		return m.Data, contentType, attributes
	}
	return m.AppendEnvelope(make([]byte, 0, size), n, several), "application/json", nil
}

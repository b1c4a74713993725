package badger

import (
	"fmt"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// logger hands Badger's lines to ours. What Badger calls information, such as
// every compaction, is of use only when something is looked for.
type logger struct{ to hclog.Logger }

func line(format string, args []any) string {
	return strings.TrimSpace(fmt.Sprintf(format, args...))
}

func (l logger) Errorf(format string, args ...any)   { l.to.Error(line(format, args)) }
func (l logger) Warningf(format string, args ...any) { l.to.Warn(line(format, args)) }
func (l logger) Infof(format string, args ...any)    { l.debug(format, args) }
func (l logger) Debugf(format string, args ...any)   {}

func (l logger) debug(format string, args []any) {
	if l.to.IsDebug() {
		l.to.Debug(line(format, args))
	}
}

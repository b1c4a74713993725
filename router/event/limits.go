package event

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds on what names and describes an event, in bytes. They hold at ingest and
// for what plugins write.
const (
	MaxType        = 256
	MaxSubject     = 1024
	MaxTenant      = 256
	MaxContentType = 256
	MaxOriginID    = 1024
)

// CheckType returns nil where s can be the type of an event: 1 to [MaxType]
// bytes of printable UTF-8 without spaces. The error goes on from the words "the
// type". Which types are the router's own is for the caller to say.
func CheckType(s string) error {
	if s == "" {
		return errors.New("is empty")
	}
	if err := checkUTF8(s, MaxType); err != nil {
		return err
	}
	for _, c := range s {
		if c == ' ' || !unicode.IsPrint(c) {
			return fmt.Errorf("holds %U; a type is printable and has no spaces", c)
		}
	}
	return nil
}

// CheckSubject returns nil where s can be a subject: at most [MaxSubject] bytes
// of UTF-8 without control characters. Empty means that there is none. The error
// goes on from the words "the subject".
func CheckSubject(s string) error { return checkText(s, MaxSubject) }

// CheckTenant is as [CheckSubject], of at most [MaxTenant] bytes.
func CheckTenant(s string) error { return checkText(s, MaxTenant) }

// CheckContentType returns nil where s can be the content type of data: at most
// [MaxContentType] bytes of printable ASCII without spaces at its ends. Empty
// means that there is none. The error goes on from the words "the content type".
func CheckContentType(s string) error {
	if len(s) > MaxContentType {
		return tooLong(s, MaxContentType)
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' {
			return fmt.Errorf("holds the byte %#02x; a content type is printable ASCII", c)
		}
	}
	if strings.Trim(s, " ") != s {
		return errors.New("has a space at an end")
	}
	return nil
}

func checkText(s string, limit int) error {
	if err := checkUTF8(s, limit); err != nil {
		return err
	}
	for _, c := range s {
		if unicode.IsControl(c) {
			return fmt.Errorf("holds the control character %U", c)
		}
	}
	return nil
}

func checkUTF8(s string, limit int) error {
	if len(s) > limit {
		return tooLong(s, limit)
	}
	if !utf8.ValidString(s) {
		return errors.New("is not UTF-8")
	}
	return nil
}

func tooLong(s string, limit int) error {
	return fmt.Errorf("has %d bytes, more than %d", len(s), limit)
}

package main

import "testing"

// What others wrote can't change the terminal, nor the order in which a line is read.
func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"order.paid":              "order.paid",
		"two\n\tlines, ä, 注文, 🎉":  "two\n\tlines, ä, 注文, 🎉",
		"\x1b[31mred\a\r\x00\x7f": "�[31mred����",
		"\u009b2J":                "�2J",
		"\x9b2J":                  "�2J",
		"a\u202eb\u2066c\u2069":   "a�b�c�",
	} {
		if got := printable(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

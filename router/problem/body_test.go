package problem

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// Embedded is exported, as those of the API are: its name is in the decoder's errors.
type Embedded struct {
	To string `json:"to"`
}

func TestMisread(t *testing.T) {
	type body struct {
		Embedded
		IDs   []string  `json:"ids"`
		Rate  int       `json:"rate"`
		DryOK bool      `json:"dry_run"`
		Since time.Time `json:"since"`
	}
	for text, want := range map[string]string{
		`{"to":["a"]}`:             "to: a text is expected, and a list was given",
		`{"to":{}}`:                "to: a text is expected, and an object was given",
		`{"to":7}`:                 "to: a text is expected, and a number was given",
		`{"ids":"a"}`:              "ids: a list is expected, and a text was given",
		`{"ids":[7]}`:              "ids: a text is expected, and a number was given",
		`{"rate":"a"}`:             "rate: a whole number is expected, and a text was given",
		`{"rate":1.5}`:             "rate: a whole number is expected, and another number was given",
		`{"rate":true}`:            "rate: a whole number is expected, and true or false was given",
		`{"dry_run":"yes"}`:        "dry_run: true or false is expected, and a text was given",
		`[]`:                       "the body: an object is expected, and a list was given",
		`"a"`:                      "the body: an object is expected, and a text was given",
		`{"since":"today"}`:        "today is not a time of RFC 3339",
		`{"since":7}`:              "a time of RFC 3339 is expected, and something else was given",
		`{"too":"crm"}`:            `there is no member "too"`,
		`{"to":`:                   "it ends before it is whole",
		``:                         "it ends before it is whole",
		`{"to" "a"}`:               "byte 7: invalid character '\"' after object key",
		`{"` + long + `":"crm"}`:   `there is no member "` + long[:63] + "…",
		`{"since":"` + long + `"}`: long[:64] + "… is not a time of RFC 3339",
	} {
		d := json.NewDecoder(strings.NewReader(text))
		d.DisallowUnknownFields()
		err := d.Decode(&body{})
		if err == nil {
			t.Errorf("%s is read", text)
		} else if got := Misread(err); got != want {
			t.Errorf("%s: %s\nwant %s", text, got, want)
		}
	}
}

var long = strings.Repeat("x", 100)

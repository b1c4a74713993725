package verify

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"slices"

	"github.com/weirhq/weir/router/problem"
	"github.com/weirhq/weir/router/rawjson"
)

// Handshake answers the GET by which a provider asks whether an address is the
// operator's own. It is no event.
type Handshake struct {
	Kind string
	// Needs is the attribute that its block must have, empty where there is none.
	Needs string

	answer func(r *Request, secret string) (*Answer, *problem.Problem)
}

// handshakes has one entry a kind. Slack asks by a signed POST, so its answer is
// part of its preset.
var handshakes = map[string]*Handshake{
	// https://developers.facebook.com/docs/graph-api/webhooks/getting-started
	"meta": {Kind: "meta", Needs: "verify_token", answer: func(r *Request, secret string) (*Answer, *problem.Problem) {
		challenge, p := challenge(r.Query.Get("hub.challenge"), "the query has no hub.challenge")
		if p != nil {
			return nil, p
		}
		given, want := sha256.Sum256([]byte(r.Query.Get("hub.verify_token"))), sha256.Sum256([]byte(secret))
		if r.Query.Get("hub.mode") != "subscribe" || subtle.ConstantTimeCompare(given[:], want[:]) != 1 {
			return nil, problem.New(http.StatusForbidden, "challenge_refused", "hub.mode is not subscribe, or hub.verify_token is not this source's verify_token")
		}
		return Plain(challenge), nil
	}},
	// X (formerly Twitter): Account Activity API, challenge-response checks.
	"crc": {Kind: "crc", Needs: "secret", answer: func(r *Request, secret string) (*Answer, *problem.Problem) {
		challenge, p := challenge(r.Query.Get("crc_token"), "the query has no crc_token")
		if p != nil {
			return nil, p
		}
		token := "sha256=" + base64.StdEncoding.EncodeToString(sum(sha256.New, []byte(secret), []byte(challenge)))
		return object("response_token", token), nil
	}},
	// https://www.dropbox.com/developers/reference/webhooks
	"dropbox": {Kind: "dropbox", answer: func(r *Request, _ string) (*Answer, *problem.Problem) {
		challenge, p := challenge(r.Query.Get("challenge"), "the query has no challenge")
		if p != nil {
			return nil, p
		}
		return Plain(challenge), nil
	}},
	// https://developer.okta.com/docs/concepts/event-hooks/#one-time-verification-request
	"okta": {Kind: "okta", answer: func(r *Request, _ string) (*Answer, *problem.Problem) {
		value, _ := r.value("x-okta-verification-challenge")
		challenge, p := challenge(value, "the request has no X-Okta-Verification-Challenge header")
		if p != nil {
			return nil, p
		}
		return object("verification", challenge), nil
	}},
}

// Handshakes returns the kinds of handshakes in order.
func Handshakes() []string {
	var kinds []string
	for k := range handshakes {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	return kinds
}

// FindHandshake returns a kind of handshake, nil where there is none.
func FindHandshake(kind string) *Handshake { return handshakes[kind] }

// Answer gives the answer to a challenge, or says why there is none. What it
// gives back is what was asked with, so it is never of a type that a browser
// would run.
func (h *Handshake) Answer(r *Request, secret string) (*Answer, *problem.Problem) {
	return h.answer(r, secret)
}

func challenge(value, none string) (string, *problem.Problem) {
	switch {
	case value == "":
		return "", problem.New(http.StatusBadRequest, "challenge_missing", "%s", none)
	case len(value) > maxChallenge:
		return "", problem.New(http.StatusBadRequest, "challenge_too_large", "the challenge has %d bytes, more than %d", len(value), maxChallenge)
	}
	return value, nil
}

func object(name, value string) *Answer {
	b := append(rawjson.AppendString([]byte{'{'}, name), ':')
	return &Answer{Status: http.StatusOK, ContentType: "application/json", Body: string(append(rawjson.AppendString(b, value), '}'))}
}

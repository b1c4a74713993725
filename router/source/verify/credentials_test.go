package verify

import (
	"slices"
	"testing"
)

// The credentials of basic are those of RFC 7617, section 2.
func TestCredentials(t *testing.T) {
	secrets := []string{"newer", "open sesame"}
	for _, tt := range []struct {
		kind    string
		options Options
		header  string
		cases   []signed
	}{
		{"token", Options{Header: "X-Key"}, "x-key", []signed{
			{"right", field("x-key", "open sesame"), "", ""},
			{"longer", field("x-key", "open sesame!"), "", "credentials_mismatch"},
			{"shorter", field("x-key", "open"), "", "credentials_mismatch"},
			{"case", field("x-key", "Open sesame"), "", "credentials_mismatch"},
			{"empty", field("x-key", ""), "", "credentials_missing"},
			{"missing", nil, "", "credentials_missing"},
		}},
		{"gitlab", Options{}, "x-gitlab-token", []signed{
			{"right", field("X-Gitlab-Token", "open sesame"), "", ""},
			{"wrong", field("X-Gitlab-Token", "open"), "", "credentials_mismatch"},
			{"missing", nil, "", "credentials_missing"},
		}},
		{"bearer", Options{}, "authorization", []signed{
			{"right", field("Authorization", "Bearer open sesame"), "", ""},
			{"case of the scheme", field("Authorization", "bearer  open sesame"), "", ""},
			{"wrong", field("Authorization", "Bearer sesame"), "", "credentials_mismatch"},
			{"bare", field("Authorization", "open sesame"), "", "credentials_malformed"},
			{"nothing", field("Authorization", "Bearer "), "", "credentials_malformed"},
			{"missing", nil, "", "credentials_missing"},
		}},
		{"basic", Options{Username: "Aladdin"}, "authorization", []signed{
			{"vector", field("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), "", ""},
			{"without padding", field("Authorization", "basic QWxhZGRpbjpvcGVuIHNlc2FtZQ"), "", ""},
			{"another user", field("Authorization", "Basic YWxhZGRpbjpvcGVuIHNlc2FtZQ=="), "", "credentials_mismatch"},
			{"another password", field("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZSE="), "", "credentials_mismatch"},
			{"no colon", field("Authorization", "Basic QWxhZGRpbg=="), "", "credentials_malformed"},
			{"no base64", field("Authorization", "Basic !"), "", "credentials_malformed"},
			{"bearer", field("Authorization", "Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), "", "credentials_malformed"},
			{"missing", nil, "", "credentials_missing"},
		}},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			tt.options.Secrets = secrets
			s := scheme(t, tt.kind, tt.options)
			check(t, s, secrets, tt.cases)
			if !slices.Equal(s.Credentials(), []string{tt.header}) {
				t.Errorf("would store the secret in %s: %v", tt.header, s.Credentials())
			}
		})
	}
}

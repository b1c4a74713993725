package verify

import "testing"

// The vector was computed with Python's hmac module, by Shopify's documentation.
const (
	shopifySecret    = "hush"
	shopifyBody      = `{"id":820982911946154508}`
	shopifySignature = "qBvrsZF7RfB1iS6BX6IHqJTp5L911P7intnPeTPsH0I="
)

func TestShopify(t *testing.T) {
	check(t, scheme(t, "shopify", Options{Secrets: []string{"newer", shopifySecret}}), []string{shopifySecret}, []signed{
		{"vector", field("X-Shopify-Hmac-Sha256", shopifySignature), shopifyBody, ""},
		{"newer name", field("Shopify-Hmac-Sha256", shopifySignature), shopifyBody, ""},
		{"both names", fields("shopify-hmac-sha256", "AAAA", "x-shopify-hmac-sha256", shopifySignature), shopifyBody, ""},
		{"tampered", field("X-Shopify-Hmac-Sha256", shopifySignature), shopifyBody + " ", "signature_mismatch"},
		{"of another body", field("X-Shopify-Hmac-Sha256", "A"+shopifySignature[1:]), shopifyBody, "signature_mismatch"},
		{"missing", nil, shopifyBody, "signature_missing"},
		{"empty", field("X-Shopify-Hmac-Sha256", ""), shopifyBody, "signature_missing"},
		{"cut off", field("X-Shopify-Hmac-Sha256", shopifySignature[:40]), shopifyBody, "signature_malformed"},
		{"hex", field("X-Shopify-Hmac-Sha256", stripeV1), shopifyBody, "signature_malformed"},
	})
	check(t, scheme(t, "shopify", Options{Secrets: []string{"wrong"}}), nil, []signed{
		{"wrong secret", field("X-Shopify-Hmac-Sha256", shopifySignature), shopifyBody, "signature_mismatch"},
	})
}

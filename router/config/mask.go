package config

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/weirhq/weir/router/expr"
)

// isSecret says whether an attribute or a key of this name holds a secret. It
// errs on the side of hiding.
func isSecret(name string) bool {
	name = strings.ToLower(name)
	if name == "dedupe_signature" || name == "token_url" { // what stands before a URL's host is hidden all the same
		return false
	}
	for _, part := range []string{"secret", "token", "password", "passwd", "apikey", "api_key", "api-key", "authorization", "cookie", "private", "credential", "signature"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	if expr.DidYouMean(name, []string{"secret", "secrets", "password", "token"}) != "" {
		return true // the line of a misspelt name is shown too
	}
	return name == "key" || name == "keys" || strings.HasSuffix(name, "_key") || strings.HasSuffix(name, "-key")
}

// maskSecrets returns src with every literal that belongs to a secret replaced
// by asterisks of the same length, so that places stay right. All that shows
// source text shows this.
func maskSecrets(src []byte, body *hclsyntax.Body) []byte {
	m := &masker{out: bytes.Clone(src)}
	m.body(body)
	return m.out
}

type masker struct{ out []byte }

func (m *masker) body(b *hclsyntax.Body) {
	for _, a := range b.Attributes {
		switch {
		case isSecret(a.Name), a.Name == "headers":
			m.literals(a.Expr)
		default:
			m.keyed(a.Expr)
			m.userinfo(a.Expr)
		}
	}
	for _, block := range b.Blocks {
		m.body(block.Body)
		if a := block.Body.Attributes["default"]; a != nil && block.Type == "variable" && secretVariable(block) {
			m.literals(a.Expr)
		}
	}
}

// secretVariable says whether a variable holds a secret by its name, or because it
// says so.
func secretVariable(b *hclsyntax.Block) bool {
	return b.Body.Attributes["sensitive"] != nil || len(b.Labels) == 1 && isSecret(b.Labels[0])
}

// keyed masks the values of an object whose keys name secrets, at any depth.
func (m *masker) keyed(e hclsyntax.Expression) {
	_ = hclsyntax.VisitAll(e, func(n hclsyntax.Node) hcl.Diagnostics {
		o, ok := n.(*hclsyntax.ObjectConsExpr)
		if !ok {
			return nil
		}
		for _, it := range o.Items {
			if r := it.KeyExpr.Range(); r.CanSliceBytes(m.out) && isSecret(string(r.SliceBytes(m.out))) {
				m.literals(it.ValueExpr)
			}
		}
		return nil
	})
}

// literals masks all texts below e but keys of objects and the first argument of
// env and file, which are names.
func (m *masker) literals(e hclsyntax.Expression) {
	names := map[hclsyntax.Node]bool{}
	_ = hclsyntax.VisitAll(e, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := n.(type) {
		case *hclsyntax.FunctionCallExpr:
			if (n.Name == "env" || n.Name == "file") && len(n.Args) > 0 {
				names[n.Args[0]] = true
				if t, ok := n.Args[0].(*hclsyntax.TemplateExpr); ok {
					for _, p := range t.Parts {
						names[p] = true
					}
				}
			}
		case *hclsyntax.ObjectConsKeyExpr:
			names[n.Wrapped] = true
			if t, ok := n.Wrapped.(*hclsyntax.TemplateExpr); ok {
				for _, p := range t.Parts {
					names[p] = true
				}
			}
		case *hclsyntax.LiteralValueExpr:
			if !names[n] {
				m.mask(n.SrcRange)
			}
		}
		return nil
	})
}

var userinfo = regexp.MustCompile(`://[^/?#"\s]*@`)

// inQuery is a secret in a URL's query.
var inQuery = regexp.MustCompile(`(?i)[?&][^=&"\s]*(?:token|secret|key|sig|password|auth)[^=&"\s]*=([^&"\s]*)`)

// maskQuery replaces secrets in a URL's query as [url.URL.Redacted] does a password.
func maskQuery(s string) string {
	var b strings.Builder
	done := 0
	for _, at := range inQuery.FindAllStringSubmatchIndex(s, -1) {
		b.WriteString(s[done:at[2]])
		b.WriteString("xxxxx")
		done = at[3]
	}
	return b.String() + s[done:]
}

// userinfo masks what stands before the host of a URL, and secrets in its query.
func (m *masker) userinfo(e hclsyntax.Expression) {
	r := e.Range()
	if !r.CanSliceBytes(m.out) {
		return
	}
	for _, at := range userinfo.FindAllIndex(r.SliceBytes(m.out), -1) {
		m.fill(r.Start.Byte+at[0]+len("://"), r.Start.Byte+at[1]-len("@"))
	}
	for _, at := range inQuery.FindAllSubmatchIndex(r.SliceBytes(m.out), -1) {
		m.fill(r.Start.Byte+at[2], r.Start.Byte+at[3])
	}
}

func (m *masker) mask(r hcl.Range) {
	if r.CanSliceBytes(m.out) {
		m.fill(r.Start.Byte, r.End.Byte)
	}
}

func (m *masker) fill(from, to int) {
	for i := from; i < to; i++ {
		if m.out[i] != '\n' && m.out[i] != '\r' {
			m.out[i] = '*'
		}
	}
}

var (
	assignment = regexp.MustCompile(`^([^=]*=\s*)(.*)$`)
	// variable begins a block whose default may be a secret, on one line or on many.
	variable = regexp.MustCompile(`^\s*variable\s+"?([^"\s{]*)`)
	heredoc  = regexp.MustCompile(`^<<-?(\w+)`)
)

// maskLines does what can be done for a file that does not parse: it hides
// everything behind the equals sign where the line looks like a secret's, with
// the lines that seem to go on from there, and userinfo.
func maskLines(src []byte) []byte {
	m := &masker{out: bytes.Clone(src)}
	until := func(string) bool { return false }
	inside := false
	for start := 0; start < len(src); {
		end := start + bytes.IndexByte(src[start:], '\n')
		if end < start {
			end = len(src)
		}
		line := src[start:end]
		trimmed := strings.TrimSpace(string(line))
		if v := variable.FindSubmatch(line); v != nil && !inside && isSecret(string(v[1])) && !strings.HasSuffix(trimmed, "}") {
			inside, until = true, func(s string) bool { return s == "}" }
			start = end + 1
			continue
		}
		switch at := assignment.FindSubmatchIndex(line); {
		case inside && until(trimmed):
			inside = false
		case inside:
			m.fill(start, end)
		case at != nil && (isSecret(strings.Trim(string(line[:at[3]]), " \t=")) || bytes.Contains(line[:at[3]], []byte("headers"))):
			m.fill(start+at[4], start+at[5])
			value := strings.TrimSpace(string(line[at[4]:at[5]]))
			if h := heredoc.FindStringSubmatch(value); h != nil {
				inside, until = true, func(s string) bool { return s == h[1] }
			} else if strings.HasSuffix(value, "[") || strings.HasSuffix(value, "{") || strings.HasSuffix(value, "(") || strings.HasSuffix(value, ",") {
				inside, until = true, func(s string) bool { return s != "" && strings.ContainsRune("]})", rune(s[0])) }
			}
		}
		for _, at := range userinfo.FindAllIndex(line, -1) {
			m.fill(start+at[0]+len("://"), start+at[1]-len("@"))
		}
		start = end + 1
	}
	return m.out
}

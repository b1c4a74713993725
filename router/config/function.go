package config

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// loadError is what our own functions say: its words never hold a secret.
type loadError struct{ summary, detail string }

func (e *loadError) Error() string { return e.detail }

// context is what expressions of a file see when it is loaded: functions, and no
// variables.
func (l *loader) context(r hcl.Range) *hcl.EvalContext {
	dir := l.dirs[r.Filename]
	if c := l.contexts[dir]; c != nil {
		return c
	}
	functions := make(map[string]function.Function, len(sharedFunctions)+2)
	for name, f := range sharedFunctions {
		functions[name] = f
	}
	functions["env"] = l.envFunction()
	functions["file"] = l.fileFunction(dir)
	c := &hcl.EvalContext{Functions: functions}
	l.contexts[dir] = c
	return c
}

// unset stands for a variable that is not set, see [Options.ToAsk].
const unset = "not set in this environment"

// envFunction is env("X") and env("X", "default").
func (l *loader) envFunction() function.Function {
	return function.New(&function.Spec{
		Params:   []function.Parameter{{Name: "name", Type: cty.String}},
		VarParam: &function.Parameter{Name: "default", Type: cty.String},
		Type: func(args []cty.Value) (cty.Type, error) {
			if len(args) > 2 {
				return cty.NilType, &loadError{"Wrong number of arguments", `write env("NAME") or env("NAME", "default")`}
			}
			return cty.String, nil
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			name := args[0].AsString()
			if v, ok := l.opts.LookupEnv(name); ok {
				if !utf8.ValidString(v) {
					return cty.NilVal, &loadError{"Environment variable can't be read", fmt.Sprintf("the environment variable %s is not UTF-8", name)}
				}
				return cty.StringVal(v), nil
			}
			if len(args) == 2 {
				return args[1], nil
			}
			if l.opts.ToAsk {
				return cty.StringVal(unset), nil
			}
			return cty.NilVal, &loadError{
				"Environment variable is not set",
				fmt.Sprintf("there is no environment variable %s: set it, or give a default: env(%q, \"...\")", name, name),
			}
		},
	})
}

// fileFunction is file("path"), relative to the folder of the file that calls
// it.
func (l *loader) fileFunction(dir string) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			name := args[0].AsString()
			path := name
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			b, err := l.read(path, maxTextSize)
			if err != nil {
				return cty.NilVal, &loadError{"File can't be read", err.Error()}
			}
			if !utf8.Valid(b) {
				return cty.NilVal, &loadError{"File can't be read", fmt.Sprintf("%s is not UTF-8 text", path)}
			}
			l.digest(name, b)
			return cty.StringVal(string(b)), nil
		},
	})
}

// sharedFunctions are those that need nothing of the configuration. None of them
// depends on time or chance: two loads of the same bytes are equal.
var sharedFunctions = map[string]function.Function{
	"abs": stdlib.AbsoluteFunc, "ceil": stdlib.CeilFunc, "floor": stdlib.FloorFunc,
	"max": stdlib.MaxFunc, "min": stdlib.MinFunc,

	"can": tryfunc.CanFunc, "try": tryfunc.TryFunc, "coalesce": stdlib.CoalesceFunc,

	"compact": stdlib.CompactFunc, "concat": stdlib.ConcatFunc, "contains": stdlib.ContainsFunc,
	"distinct": stdlib.DistinctFunc, "element": stdlib.ElementFunc, "flatten": stdlib.FlattenFunc,
	"keys": stdlib.KeysFunc, "length": lengthFunction, "lookup": stdlib.LookupFunc, "merge": stdlib.MergeFunc,
	"reverse": stdlib.ReverseListFunc, "slice": stdlib.SliceFunc, "sort": stdlib.SortFunc,
	"values": stdlib.ValuesFunc, "zipmap": stdlib.ZipmapFunc,

	"chomp": stdlib.ChompFunc, "format": stdlib.FormatFunc, "formatlist": stdlib.FormatListFunc,
	"join": stdlib.JoinFunc, "lower": stdlib.LowerFunc, "regex": stdlib.RegexFunc, "regexall": stdlib.RegexAllFunc,
	"replace": replaceFunction, "split": stdlib.SplitFunc, "substr": stdlib.SubstrFunc,
	"title": stdlib.TitleFunc, "trim": stdlib.TrimFunc, "trimprefix": stdlib.TrimPrefixFunc,
	"trimspace": stdlib.TrimSpaceFunc, "trimsuffix": stdlib.TrimSuffixFunc, "upper": stdlib.UpperFunc,
	"startswith":  textPredicate(strings.HasPrefix),
	"endswith":    textPredicate(strings.HasSuffix),
	"strcontains": textPredicate(strings.Contains),

	"chunklist": stdlib.ChunklistFunc, "coalescelist": stdlib.CoalesceListFunc, "index": indexFunction,
	"range": stdlib.RangeFunc, "setintersection": stdlib.SetIntersectionFunc, "setproduct": stdlib.SetProductFunc,
	"setsubtract": stdlib.SetSubtractFunc, "setunion": stdlib.SetUnionFunc,
	"log": stdlib.LogFunc, "parseint": stdlib.ParseIntFunc, "pow": stdlib.PowFunc, "signum": stdlib.SignumFunc,
	"indent": stdlib.IndentFunc, "strrev": stdlib.ReverseFunc, "csvdecode": stdlib.CSVDecodeFunc,

	"alltrue": everyTrue(true), "anytrue": everyTrue(false), "sha256": sha256Function, "urlencode": urlEncodeFunction,

	"jsondecode": stdlib.JSONDecodeFunc, "jsonencode": stdlib.JSONEncodeFunc,
	"base64decode": base64DecodeFunction, "base64encode": base64EncodeFunction,
	"tolist":   stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType)),
	"tomap":    stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType)),
	"toset":    stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)),
	"tobool":   stdlib.MakeToFunc(cty.Bool),
	"tonumber": stdlib.MakeToFunc(cty.Number),
	"tostring": stdlib.MakeToFunc(cty.String),
}

func textPredicate(f func(a, b string) bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}, {Name: "part", Type: cty.String}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(f(args[0].AsString(), args[1].AsString())), nil
		},
	})
}

// lengthFunction counts what a text, a list or an object has, as expressions on
// events do.
var lengthFunction = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType}},
	Type:   function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		v := args[0]
		switch {
		case v.Type() == cty.String:
			return stdlib.Strlen(v)
		case v.Type().IsObjectType():
			return cty.NumberIntVal(int64(len(v.Type().AttributeTypes()))), nil
		case v.CanIterateElements():
			return v.Length(), nil
		}
		return cty.NilVal, errors.New("a text, a list or an object is required")
	},
})

// indexFunction is Terraform's: where in a list a value is. That of cty takes an
// element by its index.
var indexFunction = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}, {Name: "value", Type: cty.DynamicPseudoType}},
	Type:   function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		list := args[0]
		if !list.Type().IsListType() && !list.Type().IsTupleType() {
			return cty.NilVal, errors.New("a list is required")
		}
		for i, v := range list.AsValueSlice() {
			equal, err := stdlib.Equal(v, args[1])
			if err != nil {
				return cty.NilVal, err
			}
			if equal.IsKnown() && equal.True() {
				return cty.NumberIntVal(int64(i)), nil
			}
		}
		return cty.NilVal, errors.New("the list does not have the value")
	},
})

// replaceFunction is Terraform's: what is between slashes is a pattern.
var replaceFunction = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "text", Type: cty.String}, {Name: "part", Type: cty.String}, {Name: "by", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		text, part, by := args[0].AsString(), args[1].AsString(), args[2].AsString()
		if len(part) < 2 || !strings.HasPrefix(part, "/") || !strings.HasSuffix(part, "/") {
			return cty.StringVal(strings.ReplaceAll(text, part, by)), nil
		}
		pattern, err := regexp.Compile(part[1 : len(part)-1])
		if err != nil { // its words hold the pattern, which may be a secret's
			return cty.NilVal, errors.New("what is between the slashes is no pattern (RE2)")
		}
		return cty.StringVal(pattern.ReplaceAllString(text, by)), nil
	},
})

// everyTrue is alltrue, or anytrue where all is false.
func everyTrue(all bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "list", Type: cty.List(cty.Bool)}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			for _, v := range args[0].AsValueSlice() {
				if is := !v.IsNull() && v.True(); is != all {
					return cty.BoolVal(!all), nil
				}
			}
			return cty.BoolVal(all), nil
		},
	})
}

var sha256Function = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "text", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		sum := sha256.Sum256([]byte(args[0].AsString()))
		return cty.StringVal(hex.EncodeToString(sum[:])), nil
	},
})

var urlEncodeFunction = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "text", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		return cty.StringVal(url.QueryEscape(args[0].AsString())), nil
	},
})

var base64EncodeFunction = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "text", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		return cty.StringVal(base64.StdEncoding.EncodeToString([]byte(args[0].AsString()))), nil
	},
})

var base64DecodeFunction = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "text", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		b, err := base64.StdEncoding.DecodeString(args[0].AsString())
		if err != nil {
			return cty.NilVal, errors.New("the text is not base64")
		}
		if !utf8.Valid(b) {
			return cty.NilVal, errors.New("what the base64 text holds is not UTF-8")
		}
		return cty.StringVal(string(b)), nil
	},
})

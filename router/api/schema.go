package api

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"
)

// schema is a JSON Schema, or a part of the document that holds them.
type schema map[string]any

func text(description string) schema {
	s := schema{"type": "string"}
	if description != "" {
		s["description"] = description
	}
	return s
}

func array(of schema) schema { return schema{"type": "array", "items": of} }

func object(properties schema, required ...string) schema {
	s := schema{"type": "object", "properties": properties}
	if required != nil {
		s["required"] = required
	}
	return s
}

func ref(name string) schema { return schema{"$ref": "#/components/schemas/" + name} }

type rawJSON string

// MarshalJSON gives the text as it is.
func (r rawJSON) MarshalJSON() ([]byte, error) { return []byte(r), nil }

// named puts the schema of v's type, and of all that it is made of, into schemas,
// and returns a reference to it.
func named(v any, schemas schema) schema { return typeSchema(reflect.TypeOf(v), schemas) }

// schemaOf is the schema of a struct that is made of plain values.
func schemaOf(v any) schema { return structSchema(reflect.TypeOf(v), nil) }

func typeSchema(t reflect.Type, schemas schema) schema {
	switch t {
	case reflect.TypeFor[time.Time]():
		return schema{"type": "string", "format": "date-time"}
	case reflect.TypeFor[json.RawMessage]():
		return schema{}
	case reflect.TypeFor[[]byte]():
		return schema{"type": "string", "contentEncoding": "base64"}
	}
	switch t.Kind() {
	case reflect.String:
		return schema{"type": "string"}
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return schema{"type": "number"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return schema{"type": "integer"}
	case reflect.Pointer:
		return typeSchema(t.Elem(), schemas)
	case reflect.Slice, reflect.Array:
		return array(typeSchema(t.Elem(), schemas))
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": typeSchema(t.Elem(), schemas)}
	case reflect.Struct:
		if t.Name() == "" || schemas == nil {
			return structSchema(t, schemas)
		}
		if schemas[t.Name()] == nil {
			schemas[t.Name()] = schema{} // a type may hold itself
			schemas[t.Name()] = structSchema(t, schemas)
		}
		return ref(t.Name())
	}
	return schema{}
}

func structSchema(t reflect.Type, schemas schema) schema {
	properties, required := schema{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || !f.IsExported() || name == "-" {
			continue // the fields of one that is embedded are there themselves
		}
		if name == "" {
			name = f.Name
		}
		s := typeSchema(f.Type, schemas)
		if !strings.Contains(options, "omit") {
			required = append(required, name)
			switch f.Type.Kind() {
			case reflect.Pointer, reflect.Slice, reflect.Map:
				if len(s) > 0 { // nil is null
					s = schema{"anyOf": []any{s, schema{"type": "null"}}}
				}
			}
		}
		properties[name] = s
	}
	return object(properties, required...)
}

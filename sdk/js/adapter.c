// The adapter stands between the QuickJS engine and Weir's plugin ABI. It
// answers what the engine imports, gives the script its host calls, and exports
// weir_filter and weir_transform. It is compiled by itself and merged with the
// engine when the first plugin is built; see ../javascript_engine.go for the
// layout of the memory and the names of the engine's functions.
//
// What the merge asks for:
//   - no function pointers: the engine has the only table;
//   - all data lies where the link's flags put it, below the engine's stack;
//   - nothing outlives a call but what init has made.
//
// It reads two things of the engine that are no interface, since the engine's
// bytes are fixed: the tags of its values, and the length in a string's head.

typedef unsigned char u8;
typedef unsigned int u32;
typedef int i32;
typedef unsigned long long u64;
typedef long long i64;

// A JavaScript value: the tag is in the upper half, an int32 or an address in
// the lower one.
typedef u64 value;

#define TAG(v) ((i32)((v) >> 32))
enum {
	TAG_STRING = -7,
	TAG_ROPE = -6,
	TAG_OBJECT = -1,
	TAG_INT = 0,
	TAG_BOOL = 1,
	TAG_NULL = 2,
	TAG_UNDEFINED = 3,
	TAG_EXCEPTION = 6,
};
#define VALUE(tag, low) ((u64)(u32)(tag) << 32 | (u32)(low))

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name))) extern
#define EXPORT(name) __attribute__((export_name(name), used))

IMPORT("weir", "read") i32 weir_read(u32 field, void *p, u32 cap);
IMPORT("weir", "write") i32 weir_write(u32 field, const void *p, u32 n);
IMPORT("weir", "get") i32 weir_get(const void *path, u32 k, void *p, u32 cap);
IMPORT("weir", "set") i32 weir_set(const void *path, u32 k, const void *p, u32 n);
IMPORT("weir", "remove") i32 weir_remove(const void *path, u32 k);
IMPORT("weir", "header") i32 weir_header(const void *name, u32 k, void *p, u32 cap);
IMPORT("weir", "set_header") i32 weir_set_header(const void *name, u32 k, const void *p, u32 n);
IMPORT("weir", "remove_header") i32 weir_remove_header(const void *name, u32 k);
IMPORT("weir", "emit") i32 weir_emit(void);
IMPORT("weir", "log") void weir_log(u32 level, const void *p, u32 n);
IMPORT("weir", "fail") void weir_fail(const void *p, u32 n);

IMPORT("wasi_snapshot_preview1", "clock_time_get") i32 wasi_clock(u32 id, u64 precision, u64 *out);
IMPORT("wasi_snapshot_preview1", "random_get") i32 wasi_random(void *p, u32 n);
IMPORT("wasi_snapshot_preview1", "fd_write") i32 wasi_write(u32 fd, const void *vectors, u32 n, u32 *written);

// Copies from the script that the packer has put into the module.
IMPORT("script", "load") void script_load(void *to, u32 offset, u32 n);

IMPORT("engine", "constructors") void engine_constructors(void);
IMPORT("engine", "malloc") void *engine_malloc(u32 n);
IMPORT("engine", "free") void engine_free(void *p);
IMPORT("engine", "QTS_NewRuntime") void *QTS_NewRuntime(void);
IMPORT("engine", "QTS_RuntimeSetMaxStackSize") void QTS_RuntimeSetMaxStackSize(void *rt, u32 n);
IMPORT("engine", "QTS_NewContext") void *QTS_NewContext(void *rt, u32 intrinsics);
IMPORT("engine", "QTS_Eval") value *QTS_Eval(void *ctx, const char *code, u32 n, const char *file, u32 module, u32 flags);
IMPORT("engine", "QTS_Call") value *QTS_Call(void *ctx, value *f, const value *self, u32 argc, value **argv);
IMPORT("engine", "QTS_NewFunction") value *QTS_NewFunction(void *ctx, const char *name, u32 length, u32 constructor, u32 id);
IMPORT("engine", "QTS_NewObject") value *QTS_NewObject(void *ctx);
IMPORT("engine", "QTS_NewString") value *QTS_NewString(void *ctx, const char *s);
IMPORT("engine", "QTS_NewFloat64") value *QTS_NewFloat64(void *ctx, double f);
IMPORT("engine", "QTS_NewArrayBuffer") value *QTS_NewArrayBuffer(void *ctx, void *p, u32 n);
IMPORT("engine", "QTS_GetArrayBuffer") void *QTS_GetArrayBuffer(void *ctx, value *v);
IMPORT("engine", "QTS_GetArrayBufferLength") u32 QTS_GetArrayBufferLength(void *ctx, value *v);
IMPORT("engine", "QTS_GetGlobalObject") value *QTS_GetGlobalObject(void *ctx);
IMPORT("engine", "QTS_GetProp") value *QTS_GetProp(void *ctx, value *object, value *name);
IMPORT("engine", "QTS_SetProp") void QTS_SetProp(void *ctx, value *object, value *name, value *v);
IMPORT("engine", "QTS_GetString") const u8 *QTS_GetString(void *ctx, const value *v);
IMPORT("engine", "QTS_FreeCString") void QTS_FreeCString(void *ctx, const u8 *s);
IMPORT("engine", "QTS_DupValuePointer") value *QTS_DupValuePointer(void *ctx, value *v);
IMPORT("engine", "QTS_FreeValuePointer") void QTS_FreeValuePointer(void *ctx, value *v);
IMPORT("engine", "QTS_ResolveException") value *QTS_ResolveException(void *ctx, value *v);
IMPORT("engine", "QTS_IsJobPending") u32 QTS_IsJobPending(void *rt);
IMPORT("engine", "QTS_ExecutePendingJob") value *QTS_ExecutePendingJob(void *rt, u32 most, void **last);
IMPORT("engine", "QTS_PromiseState") i32 QTS_PromiseState(void *ctx, value *v);
IMPORT("engine", "QTS_PromiseResult") value *QTS_PromiseResult(void *ctx, value *v);

enum { SCRATCH = 4096, MESSAGE = 3072 };

// STACK is what scripts may use of the engine's stack: less than there is, since
// the engine looks only now and then.
enum { STACK = 160 << 10 };

// What init makes and calls use.
static void *runtime;
static void *context;
static value *event;     // the one object that handlers are given
static value *filter;    // 0 where the script has none
static value *transform;
static value *parse;     // JSON.parse, as it was before the script could change it
static value *stringify; // any value to JSON, or undefined
static value *raise;     // throws an Error with the text that it is given
static value stop_drop;  // what drop() throws
static value stop_fail;  // what fail() throws
static value undefined = VALUE(TAG_UNDEFINED, 0);

static u32 emitted; // by this call
static u8 scratch[SCRATCH + 1];

// ---- texts ----

static u32 length(const char *s) {
	u32 n = 0;
	while (s[n]) n++;
	return n;
}

static int same(const u8 *p, u32 n, const char *s) {
	u32 i = 0;
	for (; i < n && s[i]; i++)
		if (p[i] != (u8)s[i]) return 0;
	return i == n && !s[i];
}

// A text that is put together, cut off where it is full.
static u8 message[MESSAGE];
static u32 message_n;

static void add_bytes(const u8 *p, u32 n) {
	if (n > MESSAGE - 1 - message_n) {
		n = MESSAGE - 1 - message_n;
		while (n > 0 && (p[n] & 0xC0) == 0x80) n--; // not inside of a character
	}
	__builtin_memcpy(message + message_n, p, n);
	message_n += n;
}

static void add(const char *s) { add_bytes((const u8 *)s, length(s)); }

static u32 decimal(u8 *out, i32 n) {
	u8 digits[12];
	u32 k = 0, m = 0, u = n < 0 ? 0u - (u32)n : (u32)n;
	do digits[k++] = '0' + u % 10; while (u /= 10);
	if (n < 0) out[m++] = '-';
	while (k) out[m++] = digits[--k];
	return m;
}

static void add_number(u32 n) {
	u8 digits[12];
	add_bytes(digits, decimal(digits, (i32)n));
}

// A string of the script as UTF-8. It must be given back.
typedef struct {
	const u8 *p;
	u32 n;
} text;

static int is_string(value v) { return TAG(v) == TAG_STRING || TAG(v) == TAG_ROPE; }

// take gives 0 where the value can't be a string; an exception is then pending.
static int take(const value *v, text *t) {
	t->p = QTS_GetString(context, v);
	if (!t->p) return 0;
	t->n = *(const u32 *)(t->p - 12) & 0x7fffffff; // not strlen: there may be a NUL in it
	return 1;
}

static void give(text *t) { QTS_FreeCString(context, t->p); }

static void fatal_text(const char *s);

// made ends the instance where the engine had no memory for so little.
static value *made(value *v) {
	if (!v) fatal_text("out of memory");
	return v;
}

static value *box(value v) {
	value *p = made(engine_malloc(sizeof v));
	*p = v;
	return p;
}

static value *string(const char *s) { return made(QTS_NewString(context, s)); }

static value *call(value *f, value *argument) { return made(QTS_Call(context, f, &undefined, 1, &argument)); }

static value *boolean(int b) { return box(VALUE(TAG_BOOL, b)); }

// throw_message throws an Error with the text put together in message.
static value *throw_message(void) {
	message[message_n] = 0;
	value *s = string((const char *)message), *r = call(raise, s);
	QTS_FreeValuePointer(context, s);
	return r;
}

static value *throw_text(const char *s) {
	message_n = 0;
	add(s);
	return throw_message();
}

// refused throws for a negative code of a host call, such as `set "a.b": no such
// place`.
static value *refused(const char *what, const text *on, i32 code) {
	message_n = 0;
	add(what);
	if (on) {
		add(" \"");
		add_bytes(on->p, on->n > 200 ? 200 : on->n);
		add("\"");
	}
	add(": ");
	switch (code) {
	case -1: add("no such place"); break;
	case -2: add("malformed path, name or value"); break;
	case -3: add("not allowed here"); break;
	case -4: add("over a limit of 64 results or 4 MiB"); break;
	default: add("refused");
	}
	return throw_message();
}

// ---- the script's host calls ----

// pulled is a value that the host has copied: into scratch where it fits, else
// into memory of its own. A NUL stands behind it.
typedef struct {
	u8 *p;
	i32 n; // or a negative code
} pulled;

static void drop_pulled(pulled *b) {
	if (b->p != scratch) engine_free(b->p);
}

enum { PULL_FIELD, PULL_VALUE, PULL_HEADER };

static i32 ask(u32 from, u32 field, const text *name, u8 *p, u32 cap) {
	switch (from) {
	case PULL_FIELD: return weir_read(field, p, cap);
	case PULL_VALUE: return weir_get(name->p, name->n, p, cap);
	default: return weir_header(name->p, name->n, p, cap);
	}
}

static pulled pull(u32 from, u32 field, const text *name) {
	pulled b = {scratch, 0};
	b.n = ask(from, field, name, scratch, SCRATCH);
	if (b.n > SCRATCH) {
		u32 n = (u32)b.n;
		b.p = engine_malloc(n + 1);
		if (!b.p) {
			b.p = scratch;
			b.n = -100;
			return b;
		}
		ask(from, field, name, b.p, n);
	}
	if (b.n >= 0) b.p[b.n] = 0;
	return b;
}

static value *no_memory(void) { return throw_text("out of memory"); }

static value *string_of(pulled *b) {
	value *r = b->n == -100 ? no_memory() : b->n < 0 ? 0 : string((const char *)b->p);
	drop_pulled(b);
	return r;
}

// whole reads a short integer that has one spelling only.
static int whole(const u8 *p, u32 n, i32 *out) {
	u32 i = n > 1 && p[0] == '-', u = 0;
	if (n - i > 9 || n == i || (p[i] == '0' && n > 1)) return 0;
	for (; i < n; i++) {
		if (p[i] < '0' || p[i] > '9') return 0;
		u = u * 10 + (p[i] - '0');
	}
	*out = p[0] == '-' ? -(i32)u : (i32)u;
	return 1;
}

// value_of makes a value of JSON. What is frequent is made at once.
static value *value_of(u8 *p, u32 n) {
	i32 number;
	if (n >= 2 && p[0] == '"' && p[n - 1] == '"') {
		u32 i = 1;
		while (i < n - 1 && p[i] != '\\') i++;
		if (i == n - 1) {
			p[n - 1] = 0;
			return string((const char *)p + 1);
		}
	}
	if (whole(p, n, &number)) return box(VALUE(TAG_INT, number));
	if (same(p, n, "true")) return boolean(1);
	if (same(p, n, "false")) return boolean(0);
	if (same(p, n, "null")) return box(VALUE(TAG_NULL, 0));
	value *s = string((const char *)p), *r = call(parse, s);
	QTS_FreeValuePointer(context, s);
	return r;
}

// name takes the argument that names a path or a header.
static value *name(const char *function, const char *what, u32 argc, value *argv, text *t) {
	if (argc < 1 || !is_string(argv[0])) {
		message_n = 0;
		add(function);
		add(": the ");
		add(what);
		add(" must be a string");
		return throw_message();
	}
	if (!take(argv, t)) return no_memory();
	return 0;
}

enum { WANT_VALUE, WANT_TEXT, WANT_PRESENCE };

static value *js_get(u32 argc, value *argv, u32 want) {
	text path;
	value *bad = name("get", "path", argc, argv, &path);
	if (bad) return bad;
	pulled b;
	if (want == WANT_PRESENCE) {
		b.p = scratch;
		b.n = weir_get(path.p, path.n, scratch, 0);
	} else {
		b = pull(PULL_VALUE, 0, &path);
	}
	value *r = 0;
	if (b.n == -100) r = no_memory();
	else if (b.n < -1) r = refused("get", &path, b.n);
	else if (want == WANT_PRESENCE) r = boolean(b.n >= 0);
	else if (b.n >= 0 && want == WANT_TEXT) r = string((const char *)b.p);
	else if (b.n >= 0) r = value_of(b.p, (u32)b.n);
	drop_pulled(&b);
	give(&path);
	return r;
}

static u32 hex(u32 n) { return n < 10 ? '0' + n : 'a' + n - 10; }

// quote writes a JSON string; out has room for six times the text and two.
static u32 quote(u8 *out, const u8 *p, u32 n) {
	u32 k = 0;
	out[k++] = '"';
	for (u32 i = 0; i < n; i++) {
		u8 c = p[i];
		if (c == '"' || c == '\\') {
			out[k++] = '\\';
			out[k++] = c;
		} else if (c < 0x20) {
			out[k++] = '\\';
			switch (c) {
			case '\n': out[k++] = 'n'; break;
			case '\r': out[k++] = 'r'; break;
			case '\t': out[k++] = 't'; break;
			case '\b': out[k++] = 'b'; break;
			case '\f': out[k++] = 'f'; break;
			default:
				out[k++] = 'u';
				out[k++] = '0';
				out[k++] = '0';
				out[k++] = hex(c >> 4);
				out[k++] = hex(c & 15);
			}
		} else if (c == 0xED && i + 2 < n && p[i + 1] >= 0xA0) {
			// Half of a surrogate pair is no UTF-8: it is escaped, as
			// JSON.stringify does.
			u32 r = 0xD000 | (p[i + 1] & 0x3Fu) << 6 | (p[i + 2] & 0x3Fu);
			out[k++] = '\\';
			out[k++] = 'u';
			for (i32 s = 12; s >= 0; s -= 4) out[k++] = hex(r >> s & 15);
			i += 2;
		} else {
			out[k++] = c;
		}
	}
	out[k++] = '"';
	return k;
}

static i32 set_string(const text *path, const text *s) {
	u8 *out = scratch;
	if (s->n > (SCRATCH - 2) / 6) {
		out = s->n < 1 << 28 ? engine_malloc(s->n * 6 + 2) : 0;
		if (!out) return -100;
	}
	i32 code = weir_set(path->p, path->n, out, quote(out, s->p, s->n));
	if (out != scratch) engine_free(out);
	return code;
}

// js_set puts a value, or JSON as it stands, at a path.
static value *js_set(u32 argc, value *argv, int raw) {
	const char *function = raw ? "setRaw" : "set";
	text path, s;
	value *bad = name(function, "path", argc, argv, &path);
	if (bad) return bad;
	value v = argc > 1 ? argv[1] : undefined;
	value *json = 0, *r = 0;
	i32 code = -2;
	if (is_string(v)) {
		if (!take(&v, &s)) {
			r = no_memory();
			goto end;
		}
		code = raw ? weir_set(path.p, path.n, s.p, s.n) : set_string(&path, &s);
		give(&s);
	} else if (raw) {
		r = throw_text("setRaw: the value must be JSON text");
		goto end;
	} else if (TAG(v) == TAG_INT) {
		code = weir_set(path.p, path.n, scratch, decimal(scratch, (i32)v));
	} else if (TAG(v) == TAG_BOOL) {
		code = (u32)v ? weir_set(path.p, path.n, "true", 4) : weir_set(path.p, path.n, "false", 5);
	} else if (TAG(v) == TAG_NULL) {
		code = weir_set(path.p, path.n, "null", 4);
	} else {
		json = argc > 1 ? call(stringify, &argv[1]) : 0;
		if (json && TAG(*json) == TAG_EXCEPTION) {
			give(&path);
			return json;
		}
		if (!json || !is_string(*json)) {
			message_n = 0;
			add("set \"");
			add_bytes(path.p, path.n > 200 ? 200 : path.n);
			add("\": the value has no JSON: undefined, NaN, a function");
			r = throw_message();
			goto end;
		}
		if (!take(json, &s)) {
			r = no_memory();
			goto end;
		}
		code = weir_set(path.p, path.n, s.p, s.n);
		give(&s);
	}
	if (code == -100) r = no_memory();
	else if (code < 0) r = refused(function, &path, code);
end:
	if (json) QTS_FreeValuePointer(context, json);
	give(&path);
	return r;
}

static value *js_remove(u32 argc, value *argv) {
	text path;
	value *bad = name("remove", "path", argc, argv, &path);
	if (bad) return bad;
	i32 code = weir_remove(path.p, path.n);
	value *r = code < -1 ? refused("remove", &path, code) : boolean(code == 0);
	give(&path);
	return r;
}

static value *js_header(u32 argc, value *argv) {
	text k;
	value *bad = name("header", "name", argc, argv, &k);
	if (bad) return bad;
	pulled b = pull(PULL_HEADER, 0, &k);
	value *r = b.n < -1 && b.n != -100 ? refused("header", &k, b.n) : string_of(&b);
	give(&k);
	return r;
}

static value *js_set_header(u32 argc, value *argv) {
	text k, v;
	value *bad = name("setHeader", "name", argc, argv, &k), *r = 0;
	if (bad) return bad;
	if (argc < 2 || !is_string(argv[1])) {
		give(&k);
		return throw_text("setHeader: the value must be a string");
	}
	if (take(&argv[1], &v)) {
		i32 code = weir_set_header(k.p, k.n, v.p, v.n);
		if (code < 0) r = refused("setHeader", &k, code);
		give(&v);
	} else {
		r = no_memory();
	}
	give(&k);
	return r;
}

static value *js_remove_header(u32 argc, value *argv) {
	text k;
	value *bad = name("removeHeader", "name", argc, argv, &k);
	if (bad) return bad;
	i32 code = weir_remove_header(k.p, k.n);
	value *r = code < -1 ? refused("removeHeader", &k, code) : boolean(code == 0);
	give(&k);
	return r;
}

static value *js_emit(void) {
	i32 code = weir_emit();
	if (code < 0) return refused("emit", 0, code);
	emitted++;
	return 0;
}

// The fields of the ABI that have names here.
static const char *field_name(u32 field) {
	switch (field) {
	case 0: return "data";
	case 1: return "type";
	case 4: return "subject";
	default: return "contentType";
	}
}

static value *js_read(u32 field) {
	pulled b = pull(PULL_FIELD, field, 0);
	return string_of(&b);
}

static value *js_write(u32 field, u32 argc, value *argv) {
	text s;
	if (argc < 1 || !is_string(argv[0])) {
		message_n = 0;
		add(field_name(field));
		add(" must be a string");
		return throw_message();
	}
	if (!take(argv, &s)) return no_memory();
	i32 code = weir_write(field, s.p, s.n);
	give(&s);
	return code < 0 ? refused(field_name(field), 0, code) : 0;
}

static value *js_bytes(void) {
	i32 n = weir_read(0, scratch, 0);
	if (n < 0) return 0;
	u8 *p = engine_malloc((u32)n + 1);
	if (!p) return no_memory();
	weir_read(0, p, (u32)n);
	return QTS_NewArrayBuffer(context, p, (u32)n); // frees p
}

static value *js_set_bytes(u32 argc, value *argv) {
	u8 *p = argc ? QTS_GetArrayBuffer(context, argv) : 0;
	u32 n = p ? QTS_GetArrayBufferLength(context, argv) : 0;
	i32 code = weir_write(0, p, n);
	return code < 0 ? refused("bytes", 0, code) : 0;
}

static value *js_log(u32 argc, value *argv) {
	text s;
	if (argc < 2 || !take(&argv[1], &s)) return 0;
	weir_log((u32)argv[0], s.p, s.n);
	give(&s);
	return 0;
}

static value *js_fail(u32 argc, value *argv) {
	text s;
	if (!argc || !take(argv, &s)) return 0;
	weir_fail(s.p, s.n);
	give(&s);
	return 0;
}

static value *js_random(void) {
	u64 r;
	wasi_random(&r, sizeof r);
	return made(QTS_NewFloat64(context, (double)(r >> 11) * 0x1p-53));
}

static value *js_ready(u32 argc, value *argv) {
	if (argc < 5) return 0;
	event = QTS_DupValuePointer(context, &argv[0]);
	if (TAG(argv[1]) == TAG_OBJECT) filter = QTS_DupValuePointer(context, &argv[1]);
	if (TAG(argv[2]) == TAG_OBJECT) transform = QTS_DupValuePointer(context, &argv[2]);
	stop_drop = *QTS_DupValuePointer(context, &argv[3]);
	stop_fail = *QTS_DupValuePointer(context, &argv[4]);
	return 0;
}

// js_lend keeps what the adapter calls itself; the first thing that is called.
static value *js_lend(u32 argc, value *argv) {
	if (argc < 3) return 0;
	parse = QTS_DupValuePointer(context, &argv[0]);
	stringify = QTS_DupValuePointer(context, &argv[1]);
	raise = QTS_DupValuePointer(context, &argv[2]);
	return 0;
}

// ---- the script and its places ----

// The script as the packer puts it: this head, the source and a NUL, the places,
// and the names of the source files, each with a NUL behind it.
static struct {
	u32 source, places, names; // bytes, places, bytes
} head;

// A place in the bundle, and where it was in the files that it was made of. The
// places are in order; one counts up to the next.
typedef struct {
	u32 bundle; // line << 12 | column, from 0
	u32 origin; // file << 20 | line, from 1; file 0 is not the author's
} place;

typedef struct {
	const char *file; // 0: unknown
	u32 line;
} origin;

static place *places; // read when the first error needs them
static char *names;

static int load_places(void) {
	if (places) return 1;
	u32 n = head.places * sizeof(place);
	place *p = engine_malloc(n + head.names + 1);
	if (!p) return 0;
	script_load(p, sizeof head + head.source + 1, n + head.names);
	names = (char *)p + n;
	names[head.names] = 0;
	places = p;
	return 1;
}

static void unload_places(void) {
	engine_free(places);
	places = 0;
}

static origin locate(u32 line, u32 column) {
	origin o = {0, 0};
	u32 at = line << 12 | (column > 4095 ? 4095 : column), low = 0, high = head.places;
	while (low < high) {
		u32 mid = (low + high) / 2;
		if (places[mid].bundle <= at) low = mid + 1;
		else high = mid;
	}
	if (!low) return o;
	u32 file = places[low - 1].origin >> 20;
	if (!file) return o;
	const char *s = names;
	while (--file) s += length(s) + 1;
	o.file = s;
	o.line = places[low - 1].origin & 0xFFFFF;
	return o;
}

#define BUNDLE "<plugin>"

static int in_dependency(const char *file) {
	for (; *file; file++)
		if (same((const u8 *)file, 13, "node_modules/")) return 1;
	return 0;
}

// add_origin puts "plugin.ts:12" for a stack before the message. Where the
// innermost place is a dependency's, the author's own place is named too.
static void add_origin(const text *stack) {
	const char *first = 0;
	u32 mark = sizeof BUNDLE - 1;
	if (!load_places()) return;
	for (u32 i = 0; i + mark < stack->n; i++) {
		if (!same(stack->p + i, mark, BUNDLE) || stack->p[i + mark] != ':') continue;
		u32 line = 0, column = 0;
		for (i += mark + 1; i < stack->n && stack->p[i] >= '0' && stack->p[i] <= '9'; i++) line = line * 10 + stack->p[i] - '0';
		if (i < stack->n && stack->p[i] == ':')
			for (i++; i < stack->n && stack->p[i] >= '0' && stack->p[i] <= '9'; i++) column = column * 10 + stack->p[i] - '0';
		origin o = locate(line ? line - 1 : 0, column ? column - 1 : 0);
		if (!o.file) continue;
		int foreign = in_dependency(o.file);
		if (first && foreign) continue;
		if (first) add(", from ");
		add(o.file);
		add(":");
		add_number(o.line);
		if (!foreign) break;
		first = o.file;
	}
	if (message_n) add(": ");
	unload_places();
}

static value *property(value *object, const char *n) {
	value *k = string(n), *v = made(QTS_GetProp(context, object, k));
	QTS_FreeValuePointer(context, k);
	return v;
}

// describe puts together where an exception, or another value, comes from and
// what it says.
static void describe(value *v) {
	text s;
	value *stack = 0, *json = 0;
	message_n = 0;
	if (TAG(*v) == TAG_OBJECT) {
		stack = property(v, "stack");
		if (is_string(*stack) && take(stack, &s)) {
			add_origin(&s);
			give(&s);
		} else {
			json = call(stringify, v); // no Error: its toString says nothing
		}
		QTS_FreeValuePointer(context, stack);
	}
	if (json && is_string(*json) && take(json, &s)) {
		add_bytes(s.p, s.n);
		give(&s);
	} else if (take(v, &s)) {
		add_bytes(s.p, s.n);
		give(&s);
	} else {
		add("an exception that has no text");
	}
	if (json) QTS_FreeValuePointer(context, json);
}

static value *js_describe(u32 argc, value *argv) {
	if (!argc) return 0;
	describe(argv);
	message[message_n] = 0;
	return string((const char *)message);
}

static void fatal(void);

static int ends_with(const char *s) {
	u32 n = length(s);
	return message_n >= n && same(message + message_n - n, n, s);
}

// report tells the host why a call failed.
static void report(value *exception) {
	describe(exception);
	// These two leave the engine in no good state.
	if (ends_with("Error: stack overflow") || ends_with("Error: out of memory")) fatal();
	weir_fail(message, message_n);
}

// fatal ends the instance with the message on stderr, where the host tells a
// full memory and a full stack from other ends.
static void fatal(void) {
	static const char prefix[] = "fatal error: ";
	struct {
		const void *p;
		u32 n;
	} vectors[] = {{prefix, sizeof prefix - 1}, {message, message_n}, {"\n", 1}};
	u32 written;
	wasi_write(2, vectors, 3, &written);
	weir_fail(message, message_n);
	__builtin_trap();
}

static void fatal_text(const char *s) {
	message_n = 0;
	add(s);
	fatal();
}

// ---- the table of the host calls ----

// The numbers of the host calls. READ and WRITE have the field added.
enum {
	CALL_GET = 1, CALL_GET_RAW, CALL_HAS, CALL_SET, CALL_SET_RAW, CALL_REMOVE,
	CALL_HEADER, CALL_SET_HEADER, CALL_REMOVE_HEADER, CALL_EMIT, CALL_LOG,
	CALL_FAIL, CALL_RANDOM, CALL_BYTES, CALL_SET_BYTES, CALL_DESCRIBE,
	CALL_LEND, CALL_READY,
	CALL_READ = 32, CALL_WRITE = 64,
};

EXPORT("host_call") value *host_call(void *ctx, value *self, u32 argc, value *argv, u32 id) {
	(void)ctx, (void)self;
	switch (id) {
	case CALL_GET: return js_get(argc, argv, WANT_VALUE);
	case CALL_GET_RAW: return js_get(argc, argv, WANT_TEXT);
	case CALL_HAS: return js_get(argc, argv, WANT_PRESENCE);
	case CALL_SET: return js_set(argc, argv, 0);
	case CALL_SET_RAW: return js_set(argc, argv, 1);
	case CALL_REMOVE: return js_remove(argc, argv);
	case CALL_HEADER: return js_header(argc, argv);
	case CALL_SET_HEADER: return js_set_header(argc, argv);
	case CALL_REMOVE_HEADER: return js_remove_header(argc, argv);
	case CALL_EMIT: return js_emit();
	case CALL_LOG: return js_log(argc, argv);
	case CALL_FAIL: return js_fail(argc, argv);
	case CALL_RANDOM: return js_random();
	case CALL_BYTES: return js_bytes();
	case CALL_SET_BYTES: return js_set_bytes(argc, argv);
	case CALL_DESCRIBE: return js_describe(argc, argv);
	case CALL_LEND: return js_lend(argc, argv);
	case CALL_READY: return js_ready(argc, argv);
	}
	if (id >= CALL_WRITE) return js_write(id - CALL_WRITE, argc, argv);
	return js_read(id - CALL_READ);
}

static void define(value *object, const char *n, u32 length_, u32 id) {
	value *k = string(n), *f = made(QTS_NewFunction(context, n, length_, 0, id));
	QTS_SetProp(context, object, k, f);
	QTS_FreeValuePointer(context, f);
	QTS_FreeValuePointer(context, k);
}

// host_object becomes the global __weir, which the script's first lines take
// away.
static void host_object(void) {
	value *o = made(QTS_NewObject(context)), *global = made(QTS_GetGlobalObject(context)), *k = string("__weir");
	define(o, "get", 1, CALL_GET);
	define(o, "getRaw", 1, CALL_GET_RAW);
	define(o, "has", 1, CALL_HAS);
	define(o, "set", 2, CALL_SET);
	define(o, "setRaw", 2, CALL_SET_RAW);
	define(o, "remove", 1, CALL_REMOVE);
	define(o, "header", 1, CALL_HEADER);
	define(o, "setHeader", 2, CALL_SET_HEADER);
	define(o, "removeHeader", 1, CALL_REMOVE_HEADER);
	define(o, "emit", 0, CALL_EMIT);
	define(o, "log", 2, CALL_LOG);
	define(o, "fail", 1, CALL_FAIL);
	define(o, "random", 0, CALL_RANDOM);
	define(o, "bytes", 0, CALL_BYTES);
	define(o, "setBytes", 1, CALL_SET_BYTES);
	define(o, "describe", 1, CALL_DESCRIBE);
	define(o, "lend", 3, CALL_LEND);
	define(o, "ready", 5, CALL_READY);
	define(o, "type", 0, CALL_READ + 1);
	define(o, "id", 0, CALL_READ + 2);
	define(o, "source", 0, CALL_READ + 3);
	define(o, "subject", 0, CALL_READ + 4);
	define(o, "time", 0, CALL_READ + 5);
	define(o, "contentType", 0, CALL_READ + 6);
	define(o, "message", 0, CALL_READ + 7);
	define(o, "config", 0, CALL_READ + 8);
	define(o, "route", 0, CALL_READ + 9);
	define(o, "tenant", 0, CALL_READ + 10);
	define(o, "writeData", 1, CALL_WRITE + 0);
	define(o, "setType", 1, CALL_WRITE + 1);
	define(o, "setSubject", 1, CALL_WRITE + 4);
	define(o, "setContentType", 1, CALL_WRITE + 6);
	QTS_SetProp(context, global, k, o);
	QTS_FreeValuePointer(context, k);
	QTS_FreeValuePointer(context, o);
	QTS_FreeValuePointer(context, global);
}

// ---- exports of the ABI ----

EXPORT("weir_abi_v1") void weir_abi_v1(void) {}

// resolve returns the exception where a result stands for one, and frees the
// result then.
static value *resolve(value *r) {
	value *exception = QTS_ResolveException(context, r);
	if (exception) QTS_FreeValuePointer(context, r);
	return exception;
}

static i32 failed(value *exception) {
	if (*exception != stop_fail) report(exception);
	QTS_FreeValuePointer(context, exception);
	return -1;
}

// run_jobs runs what promises have left to do. What they throw nobody hears, as
// in other engines where nothing listens for it.
static void run_jobs(void) {
	void *last;
	while (QTS_IsJobPending(runtime)) {
		value *r = made(QTS_ExecutePendingJob(runtime, -1u, &last)), *exception = resolve(r);
		QTS_FreeValuePointer(context, exception ? exception : r);
	}
}

EXPORT("weir_init") i32 weir_init(void) {
	engine_constructors();
	runtime = QTS_NewRuntime();
	if (!runtime) fatal_text("out of memory");
	QTS_RuntimeSetMaxStackSize(runtime, STACK);
	context = QTS_NewContext(runtime, 0);
	if (!context) fatal_text("out of memory");
	host_object();
	script_load(&head, 0, sizeof head);
	char *source = engine_malloc(head.source + 1);
	if (!source) fatal_text("out of memory");
	script_load(source, sizeof head, head.source + 1);
	value *r = made(QTS_Eval(context, source, head.source, BUNDLE, 0, 0));
	engine_free(source);
	value *exception = resolve(r);
	if (exception) return failed(exception);
	QTS_FreeValuePointer(context, r);
	run_jobs();
	return 0;
}

static i32 wrong(const char *s) {
	weir_fail(s, length(s));
	return -1;
}

enum { KEPT, DROPPED, NO_ANSWER, BAD_ANSWER, FAILED };

// handle calls the script and says what it answered.
static u32 handle(value *handler) {
	emitted = 0;
	value *r = call(handler, event);
	value *exception = resolve(r); // before others are thrown
	run_jobs();
	if (!exception && TAG(*r) == TAG_OBJECT) {
		i32 state = QTS_PromiseState(context, r);
		if (state == 0) {
			wrong("the handler's promise never settles: there is nothing to wait for in a plugin");
			QTS_FreeValuePointer(context, r);
			return FAILED;
		}
		if (state > 0) {
			value *settled = QTS_PromiseResult(context, r);
			QTS_FreeValuePointer(context, r);
			if (state == 1) r = settled;
			else exception = settled;
		}
	}
	if (exception) {
		if (*exception == stop_drop) {
			QTS_FreeValuePointer(context, exception);
			return DROPPED;
		}
		failed(exception);
		return FAILED;
	}
	value v = *r;
	QTS_FreeValuePointer(context, r);
	switch (TAG(v)) {
	case TAG_BOOL: return (u32)v ? KEPT : DROPPED;
	case TAG_UNDEFINED: return NO_ANSWER;
	default: return BAD_ANSWER;
	}
}

EXPORT("weir_filter") i32 weir_filter(void) {
	switch (handle(filter)) {
	case KEPT: return 1;
	case DROPPED: return 0;
	case FAILED: return -1;
	case NO_ANSWER: return wrong("filter returned nothing: return true to keep the event, false to drop it");
	default: return wrong("filter must return true to keep the event or false to drop it, nothing else");
	}
}

EXPORT("weir_transform") i32 weir_transform(void) {
	switch (handle(transform)) {
	case KEPT:
	case NO_ANSWER: return emitted ? 2 : 0;
	case DROPPED: return emitted ? 2 : 1;
	case FAILED: return -1;
	default: return wrong("transform must return nothing, or false to drop the event: change it by event.set or event.data = …");
	}
}

// ---- what the engine imports ----

EXPORT("assert_fail") void assert_fail(const char *what, const char *file, u32 line, const char *function) {
	(void)file, (void)line, (void)function;
	message_n = 0;
	add("the engine failed: ");
	add(what);
	fatal();
}

EXPORT("abort") void engine_abort(void) { fatal_text("the engine gave up"); }

EXPORT("exit") void engine_exit(u32 code) {
	(void)code;
	fatal_text("the engine ended itself");
}

EXPORT("resize_heap") u32 resize_heap(u32 bytes) {
	u32 pages = __builtin_wasm_memory_size(0), need = (bytes >> 16) + ((bytes & 0xFFFF) != 0);
	if (need <= pages) return 1;
	// More than is asked for, so that a growing heap does not ask each time;
	// just that where there is no more.
	u32 ample = need + (need >> 3) + 1;
	return __builtin_wasm_memory_grow(0, ample - pages) != -1ul || __builtin_wasm_memory_grow(0, need - pages) != -1ul;
}

EXPORT("date_now") double date_now(void) {
	u64 ns = 0;
	wasi_clock(0, 1000000, &ns);
	return (double)(ns / 1000000);
}

// The parts of struct tm, of which the local time is UTC.
EXPORT("localtime") void localtime(i64 seconds, i32 *tm) {
	i64 days = seconds / 86400, rest = seconds % 86400;
	if (rest < 0) rest += 86400, days--;
	// Days since 0000-03-01, in eras of 400 years.
	i64 z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
	i32 doe = (i32)(z - era * 146097), yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	i32 doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
	i32 month = mp < 10 ? mp + 2 : mp - 10; // from 0
	i64 year = yoe + era * 400 + (month < 2);
	int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	tm[0] = (i32)(rest % 60);
	tm[1] = (i32)(rest / 60 % 60);
	tm[2] = (i32)(rest / 3600);
	tm[3] = doy - (153 * mp + 2) / 5 + 1;
	tm[4] = month;
	tm[5] = (i32)(year - 1900);
	tm[6] = (i32)(((days + 4) % 7 + 7) % 7);
	tm[7] = month < 2 ? doy - 306 : doy + 59 + leap;
	tm[8] = 0;
	tm[9] = 0;
}

EXPORT("tzset") void tzset(i32 *zone, i32 *daylight, char *standard, char *summer) {
	*zone = *daylight = 0;
	__builtin_memcpy(standard, "UTC", 4);
	__builtin_memcpy(summer, "UTC", 4);
}

EXPORT("environ_sizes_get") u32 environ_sizes_get(u32 *count, u32 *size) {
	*count = *size = 0;
	return 0;
}

EXPORT("environ_get") u32 environ_get(u32 a, u32 b) {
	(void)a, (void)b;
	return 0;
}

EXPORT("fd_close") u32 fd_close(u32 fd) {
	(void)fd;
	return 8;
}

EXPORT("fd_seek") u32 fd_seek(u32 fd, u64 offset, u32 whence, u32 out) {
	(void)fd, (void)offset, (void)whence, (void)out;
	return 8;
}

EXPORT("fd_write") u32 fd_write(u32 fd, const void *vectors, u32 n, u32 *written) {
	return (u32)wasi_write(fd, vectors, n, written);
}

EXPORT("keepalive_clear") void keepalive_clear(void) {}

EXPORT("set_timer") u32 set_timer(u32 which, double ms) {
	(void)which, (void)ms;
	return 0;
}

EXPORT("interrupted") u32 interrupted(u32 rt) {
	(void)rt;
	return 0;
}

EXPORT("module_source") u32 module_source(u32 rt, u32 ctx, u32 n) {
	(void)rt, (void)ctx, (void)n;
	return 0;
}

EXPORT("module_name") u32 module_name(u32 rt, u32 ctx, u32 base, u32 n) {
	(void)rt, (void)ctx, (void)base, (void)n;
	return 0;
}

EXPORT("free_host_ref") void free_host_ref(u32 rt, u32 id) { (void)rt, (void)id; }

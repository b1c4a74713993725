// weir.h is the SDK for Weir plugins in C: this header and nothing else. It needs
// no C library, and works beside wasi-libc.
//
//	#include "weir.h"
//
//	WEIR_TRANSFORM {
//		if (weir_get_bool("account.test"))
//			return WEIR_DROP;
//		weir_remove("account.password");
//		return weir_set_string("account.email", "hidden");
//	}
//
// Values are read and changed by paths: segments parted by dots, where digits are
// an index in an array ("items.0.price"), "\\." is a dot and "\\\\" a backslash in
// a key. The host finds them, without parsing the rest, and every byte that is not
// changed stays.
//
// Texts are UTF-8 and end with a NUL. What a function returns by pointer lies in
// an arena, or in what it was given, and is valid until the call ends: there is
// nothing to free. A value that is not there reads as "", 0 or false.
//
// Changes return 0 or a negative code, which may be returned as it is: the event
// then ends on this route, with a text that says why. A path that can't be read is
// a mistake in the plugin: it panics, and so does running out of memory.
//
// Names that begin with weir__ (two underscores) are not for plugins.
#ifndef WEIR_H
#define WEIR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// WEIR_ARENA is how many bytes of values and texts a call may hold before the
// guest's memory has to grow. Define it before including this header.
#ifndef WEIR_ARENA
#define WEIR_ARENA 49152
#endif

// ---- Entry points ----
//
// Each is followed by a body in braces, at most once in a plugin. A plugin has a
// filter, a transform or both.

// WEIR_FILTER returns true to keep the event, false to drop it, or weir_fail().
#define WEIR_FILTER WEIR__ENTRY(filter)

// WEIR_TRANSFORM returns WEIR_SEND, WEIR_DROP, weir_fail() or the code of a change.
#define WEIR_TRANSFORM WEIR__ENTRY(transform)

// WEIR_INIT runs once, before the first event: it can read the config, log, and
// refuse with weir_fail(). It returns 0 where all is well. What it keeps in
// variables is what every event finds there.
#define WEIR_INIT WEIR__ENTRY(init)

enum {
	WEIR_SEND = 0, // the message as it stands, or what was emitted
	WEIR_DROP = 1, // nothing, or what was emitted
};

// Codes of changes.
enum {
	WEIR_OK = 0,
	WEIR_NO_PLACE = -1,    // through a value that has no members, past an array's end, or the data is not JSON
	WEIR_MALFORMED = -2,   // a path, name or value that can't be read
	WEIR_NOT_ALLOWED = -3, // in a filter or WEIR_INIT; a header or type of the router's own
	WEIR_LIMIT = -4,       // more than 64 results or 4 MiB
};

// Levels of weir_log.
enum { WEIR_TRACE = 1, WEIR_DEBUG, WEIR_INFO, WEIR_WARN, WEIR_ERROR };

// weir_value is a JSON value as its bytes stand, a string with its quotes. It is
// not there where json is NULL.
typedef struct weir_value {
	const char *json;
	size_t size;
} weir_value;

// weir_item is where WEIR_EACH stands.
typedef struct weir_item {
	const char *key; // of an object's member, "" in an array
	weir_value value;
	bool ok, weir__object;
	weir_value weir__rest;
} weir_item;

// WEIR_EACH runs its body for each element of an array or member of an object:
//
//	WEIR_EACH(item, weir_config("list"))
//		weir_log(WEIR_INFO, weir_string(item.value));
#define WEIR_EACH(item, list) for (weir_item item = weir__first(list); (item).ok; weir__next(&(item)))

// ---- What the host gives ----

#define WEIR__IMPORT(name) __attribute__((import_module("weir"), import_name(name)))
WEIR__IMPORT("read") int32_t weir__read(int32_t field, void *at, size_t room);
WEIR__IMPORT("write") int32_t weir__write(int32_t field, const void *at, size_t size);
WEIR__IMPORT("get") int32_t weir__get(const char *path, size_t path_size, void *at, size_t room);
WEIR__IMPORT("set") int32_t weir__set(const char *path, size_t path_size, const void *at, size_t size);
WEIR__IMPORT("remove") int32_t weir__remove(const char *path, size_t path_size);
WEIR__IMPORT("header") int32_t weir__header(const char *name, size_t name_size, void *at, size_t room);
WEIR__IMPORT("set_header") int32_t weir__set_header(const char *name, size_t name_size, const void *at, size_t size);
WEIR__IMPORT("remove_header") int32_t weir__remove_header(const char *name, size_t name_size);
WEIR__IMPORT("emit") int32_t weir__emit(void);
WEIR__IMPORT("log") void weir__log(int32_t level, const void *at, size_t size);
WEIR__IMPORT("fail") void weir__fail(const void *at, size_t size);

// The marker of the ABI's version, once however many files include this header.
__attribute__((weak, export_name("weir_abi_v1"))) void weir__abi_v1(void) {}

#define WEIR__API static inline __attribute__((unused))
#define WEIR__INLINE static inline __attribute__((unused, always_inline))
#define WEIR__CHECKED WEIR__API __attribute__((warn_unused_result))

// ---- Failing ----

#define WEIR__QUOTE2(x) #x
#define WEIR__QUOTE(x) WEIR__QUOTE2(x)
#define WEIR__HERE __FILE__ ":" WEIR__QUOTE(__LINE__) ": "

// weir_panic ends the event on this route at once, with the file, the line and a
// text.
#define weir_panic(text) weir__panic(weir_join(WEIR__HERE, (text)))

// weir_assert panics where a condition does not hold.
#define weir_assert(condition) ((condition) ? (void)0 : weir__panic(WEIR__HERE "assertion failed: " #condition))

// weir_check panics where a change was refused.
#define weir_check(change) weir__check((change), WEIR__HERE #change ": ")

// weir_join returns the texts one after another, as a new text.
#define weir_join(...) weir__join(__VA_ARGS__, (const char *)0)

typedef struct weir__state_t {
	char *next, *end;       // what is free of the part of the arena in use
	char *grown, *grown_to; // the part that was added to the memory
	int32_t emitted;
	bool failed;
	char first[WEIR_ARENA];
} weir__state_t;
__attribute__((weak)) weir__state_t weir__state;

// weir__length is strlen, which may be missing. Of a literal it costs nothing.
WEIR__INLINE size_t weir__length(const char *s) {
	if (__builtin_constant_p(__builtin_strlen(s)))
		return __builtin_strlen(s);
	size_t n = 0;
	while (s[n])
		n++;
	return n;
}

WEIR__API _Noreturn void weir__panic(const char *text) {
	weir__fail(text, weir__length(text));
	__builtin_trap();
}

// weir_fail ends the event on this route: return what it returns.
WEIR__API int32_t weir_fail(const char *text) {
	weir__fail(text, weir__length(text));
	weir__state.failed = true;
	return -5;
}

// weir_error says what a code of a change means.
WEIR__API const char *weir_error(int32_t code) {
	switch (code) {
	case WEIR_OK:
		return "no error";
	case WEIR_NO_PLACE:
		return "no such place";
	case WEIR_MALFORMED:
		return "malformed path, name or value";
	case WEIR_NOT_ALLOWED:
		return "not allowed here";
	case WEIR_LIMIT:
		return "over a limit of 64 results or 4 MiB";
	}
	return "unknown error";
}

// ---- The arena ----

#ifdef __wasi__
void *malloc(size_t);
#endif

// weir__more makes room for at least size bytes behind weir__state.next. What was
// added to the memory is used again by the next call.
WEIR__API void weir__more(size_t size) {
	weir__state_t *s = &weir__state;
	if (s->end != s->grown_to && (size_t)(s->grown_to - s->grown) >= size) {
		s->next = s->grown;
		s->end = s->grown_to;
		return;
	}
	const size_t least = 256 * 1024;
	size_t want = size > least ? size : least;
#ifdef __wasi__
	// The C library owns the memory's end.
	char *at = (char *)malloc(want);
	if (!at)
		weir__panic("out of memory");
	s->grown = at;
	s->grown_to = at + want;
#else
	size_t pages = (want + 65535) / 65536;
	size_t old = __builtin_wasm_memory_grow(0, pages);
	if (old == (size_t)-1)
		weir__panic("out of memory");
	char *at = (char *)(old * 65536);
	if (at == s->grown_to && s->end == s->grown_to) {
		s->end = s->grown_to = at + pages * 65536;
		return;
	}
	s->grown = at;
	s->grown_to = at + pages * 65536;
#endif
	s->next = s->grown;
	s->end = s->grown_to;
}

// weir__room returns size free bytes, which are taken by moving weir__state.next.
WEIR__INLINE char *weir__room(size_t size) {
	if (__builtin_expect((size_t)(weir__state.end - weir__state.next) < size, 0))
		weir__more(size);
	return weir__state.next;
}

// weir_alloc returns size bytes, aligned to 8, that are gone when the call ends.
WEIR__API void *weir_alloc(size_t size) {
	char *at = weir__room(size + 7);
	at = (char *)(((uintptr_t)at + 7) & ~(uintptr_t)7);
	weir__state.next = at + size;
	return at;
}

WEIR__API const char *weir__join(const char *first, ...) {
	va_list texts;
	size_t size = 1;
	va_start(texts, first);
	for (const char *t = first; t; t = va_arg(texts, const char *))
		size += weir__length(t);
	va_end(texts);
	char *joined = weir__room(size), *to = joined;
	va_start(texts, first);
	for (const char *t = first; t; t = va_arg(texts, const char *))
		for (; *t; t++)
			*to++ = *t;
	va_end(texts);
	*to = 0;
	weir__state.next = joined + size;
	return joined;
}

WEIR__API void weir__check(int32_t code, const char *where) {
	if (code < 0)
		weir__panic(weir_join(where, weir_error(code)));
}

enum { weir__from_field, weir__from_path, weir__from_header };

// weir__pull reads into what is free of the arena, so that one call to the host is
// enough unless the value is larger than that. A NUL follows the value.
WEIR__INLINE int32_t weir__pull(int from, int32_t field, const char *name, size_t size, weir_value *into) {
	size_t want = 256;
	for (;;) {
		char *at = weir__room(want);
		size_t room = (size_t)(weir__state.end - at) - 1;
		int32_t n = from == weir__from_field  ? weir__read(field, at, room)
		            : from == weir__from_path ? weir__get(name, size, at, room)
		                                      : weir__header(name, size, at, room);
		if (n < 0) {
			into->json = NULL;
			into->size = 0;
			return n;
		}
		if ((size_t)n <= room) {
			at[n] = 0;
			weir__state.next = at + n + 1;
			into->json = at;
			into->size = (size_t)n;
			return 0;
		}
		want = (size_t)n + 1;
	}
}

WEIR__API const char *weir__field(int32_t field) {
	weir_value v;
	return weir__pull(weir__from_field, field, NULL, 0, &v) < 0 ? "" : v.json;
}

// ---- Values ----

// weir_exists reports whether a value is there, null included.
WEIR__API bool weir_exists(weir_value v) { return v.json != NULL; }

WEIR__API size_t weir__space(weir_value v, size_t i) {
	while (i < v.size && (v.json[i] == ' ' || v.json[i] == '\n' || v.json[i] == '\r' || v.json[i] == '\t'))
		i++;
	return i;
}

// weir_kind returns what a value begins with: '{' for an object, '[' for an array,
// '"' for a string, 't', 'f' or 'n' for true, false and null, a digit or '-' for a
// number, and 0 where there is none.
WEIR__API char weir_kind(weir_value v) {
	size_t i = weir__space(v, 0);
	return i < v.size ? v.json[i] : 0;
}

// weir__skip returns the offset behind the value at i. The host has checked that
// it is JSON.
WEIR__API size_t weir__skip(weir_value v, size_t i) {
	const char *s = v.json;
	size_t depth = 0;
	while (i < v.size) {
		switch (s[i]) {
		case '"':
			for (i++; i < v.size && s[i] != '"'; i++)
				if (s[i] == '\\')
					i++;
			i = i < v.size ? i + 1 : v.size;
			break;
		case '{':
		case '[':
			depth++;
			i++;
			break;
		case '}':
		case ']':
			if (depth == 0)
				return i;
			depth--;
			i++;
			break;
		case ',':
		case ':':
		case ' ':
		case '\n':
		case '\r':
		case '\t':
			if (depth == 0)
				return i;
			i++;
			continue;
		default:
			while (i < v.size && s[i] != ',' && s[i] != ':' && s[i] != '}' && s[i] != ']' && s[i] != ' ' && s[i] != '\n' && s[i] != '\r' && s[i] != '\t')
				i++;
		}
		if (depth == 0)
			return i;
	}
	return i;
}

WEIR__API int32_t weir__hex4(const char *s, const char *end) {
	if (end - s < 4)
		return -1;
	int32_t n = 0;
	for (int i = 0; i < 4; i++) {
		char c = s[i];
		int32_t digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
		if (digit < 0)
			return -1;
		n = n * 16 + digit;
	}
	return n;
}

WEIR__API char *weir__utf8(char *to, int32_t r) {
	if (r < 0x80) {
		*to++ = (char)r;
	} else if (r < 0x800) {
		*to++ = (char)(0xC0 | r >> 6);
		*to++ = (char)(0x80 | (r & 0x3F));
	} else if (r < 0x10000) {
		*to++ = (char)(0xE0 | r >> 12);
		*to++ = (char)(0x80 | (r >> 6 & 0x3F));
		*to++ = (char)(0x80 | (r & 0x3F));
	} else {
		*to++ = (char)(0xF0 | r >> 18);
		*to++ = (char)(0x80 | (r >> 12 & 0x3F));
		*to++ = (char)(0x80 | (r >> 6 & 0x3F));
		*to++ = (char)(0x80 | (r & 0x3F));
	}
	return to;
}

// weir__unquote decodes the inside of a JSON string, which may be where it is
// written to: it never becomes longer. A lone surrogate becomes U+FFFD.
WEIR__API char *weir__unquote(const char *s, const char *end, char *to) {
	while (s < end) {
		if (*s != '\\' || s + 1 == end) {
			*to++ = *s++;
			continue;
		}
		s++;
		switch (*s) {
		case 'b':
			*to++ = '\b';
			break;
		case 'f':
			*to++ = '\f';
			break;
		case 'n':
			*to++ = '\n';
			break;
		case 'r':
			*to++ = '\r';
			break;
		case 't':
			*to++ = '\t';
			break;
		case 'u': {
			int32_t r = weir__hex4(s + 1, end);
			if (r >= 0)
				s += 4;
			if (r >= 0xD800 && r < 0xDC00 && end - s > 6 && s[1] == '\\' && s[2] == 'u') {
				int32_t low = weir__hex4(s + 3, end);
				if (low >= 0xDC00 && low < 0xE000) {
					r = 0x10000 + ((r - 0xD800) << 10) + (low - 0xDC00);
					s += 6;
				}
			}
			to = weir__utf8(to, r < 0 || (r >= 0xD800 && r < 0xE000) ? 0xFFFD : r);
			break;
		}
		default:
			*to++ = *s;
		}
		s++;
	}
	return to;
}

// weir__inside reports whether v is a string, and where its inside is.
WEIR__INLINE bool weir__inside(weir_value v, const char **from, const char **to) {
	size_t i = weir__space(v, 0);
	if (i == v.size || v.json[i] != '"')
		return false;
	size_t end = weir__skip(v, i);
	if (end < i + 2)
		return false;
	*from = v.json + i + 1;
	*to = v.json + end - 1;
	return true;
}

// weir_string returns what a string says, of any other value its JSON text, and ""
// of one that is not there.
WEIR__API const char *weir_string(weir_value v) {
	const char *from = v.json, *to = v.json + v.size;
	bool quoted = weir__inside(v, &from, &to);
	char *text = weir__room(v.size + 1), *end = text;
	if (quoted) {
		end = weir__unquote(from, to, text);
	} else if (v.size > 0) {
		__builtin_memcpy(text, v.json, v.size);
		end += v.size;
	}
	*end = 0;
	weir__state.next = end + 1;
	return text;
}

// Numbers. Most need no more than a multiplication; where that would round twice,
// integers of any size decide, so that reading and writing are exact.

typedef struct weir__big {
	int n;
	uint32_t w[132];
} weir__big;

WEIR__API void weir__big_times(weir__big *b, uint32_t factor, uint32_t add) {
	uint64_t carry = add;
	for (int i = 0; i < b->n; i++) {
		carry += (uint64_t)b->w[i] * factor;
		b->w[i] = (uint32_t)carry;
		carry >>= 32;
	}
	if (carry)
		b->w[b->n++] = (uint32_t)carry;
}

WEIR__API void weir__big_shift(weir__big *b, int bits) {
	int words = bits / 32;
	if (words && b->n) {
		for (int i = b->n - 1; i >= 0; i--)
			b->w[i + words] = b->w[i];
		for (int i = 0; i < words; i++)
			b->w[i] = 0;
		b->n += words;
	}
	if (bits % 32)
		weir__big_times(b, 1u << bits % 32, 0);
}

WEIR__API int weir__big_bits(const weir__big *b) { return b->n ? b->n * 32 - __builtin_clz(b->w[b->n - 1]) : 0; }

WEIR__API int weir__big_compare(const weir__big *a, const weir__big *b) {
	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	for (int i = a->n - 1; i >= 0; i--)
		if (a->w[i] != b->w[i])
			return a->w[i] < b->w[i] ? -1 : 1;
	return 0;
}

// weir__big_subtract takes b off a, which is not smaller.
WEIR__API void weir__big_subtract(weir__big *a, const weir__big *b) {
	uint64_t borrow = 0;
	for (int i = 0; i < a->n; i++) {
		uint64_t d = (uint64_t)a->w[i] - (i < b->n ? b->w[i] : 0) - borrow;
		a->w[i] = (uint32_t)d;
		borrow = d >> 63;
	}
	while (a->n && !a->w[a->n - 1])
		a->n--;
}

WEIR__API void weir__big_add(weir__big *a, const weir__big *b) {
	uint64_t carry = 0;
	for (int i = 0; i < a->n || i < b->n || carry; i++) {
		carry += (uint64_t)(i < a->n ? a->w[i] : 0) + (i < b->n ? b->w[i] : 0);
		a->w[i] = (uint32_t)carry;
		if (i >= a->n)
			a->n = i + 1;
		carry >>= 32;
	}
}

WEIR__API void weir__big_set(weir__big *b, uint64_t value) {
	b->w[0] = (uint32_t)value;
	b->w[1] = (uint32_t)(value >> 32);
	b->n = b->w[1] ? 2 : b->w[0] ? 1 : 0;
}

WEIR__API double weir__power(int n) { // 10 to the n, exact up to 22
	double p = 1;
	while (n-- > 0)
		p *= 10;
	return p;
}

// weir__slow_number is digits times 10 to the exponent, rounded once.
WEIR__API double weir__slow_number(const char *digits, const char *end, int exponent) {
	weir__big a = {0}, b = {0};
	int kept = 0;
	bool lost = false;
	for (const char *s = digits; s < end; s++) {
		if (*s == '.')
			continue;
		if (kept == 780) { // more can't matter, but for their not being zero
			lost |= *s != '0';
			exponent++;
			continue;
		}
		if (a.n || *s != '0')
			kept++;
		weir__big_times(&a, 10, (uint32_t)(*s - '0'));
	}
	if (!a.n || exponent + kept < -330)
		return 0;
	if (exponent + kept > 310)
		return __builtin_inf();
	weir__big_set(&b, 1);
	for (; exponent > 0; exponent--)
		weir__big_times(&a, 10, 0);
	for (; exponent < 0; exponent++)
		weir__big_times(&b, 10, 0);
	// a/b is brought between 1 and 2, and divided bit by bit.
	int power = weir__big_bits(&a) - weir__big_bits(&b);
	weir__big_shift(power > 0 ? &b : &a, power > 0 ? power : -power);
	if (weir__big_compare(&a, &b) < 0) {
		weir__big_shift(&a, 1);
		power--;
	}
	int bits = power >= -1022 ? 53 : 53 - (-1022 - power);
	if (bits < 0)
		return 0;
	if (power > 1023)
		return __builtin_inf();
	uint64_t q = 0;
	for (int i = 0; i < bits; i++) {
		q <<= 1;
		if (weir__big_compare(&a, &b) >= 0) {
			weir__big_subtract(&a, &b);
			q |= 1;
		}
		weir__big_shift(&a, 1);
	}
	int half = weir__big_compare(&a, &b);
	if (half > 0 || (half == 0 && (lost || q & 1)))
		q++;
	if (bits == 53)
		q += (uint64_t)(power + 1022) << 52; // and q's own highest bit
	double d;
	__builtin_memcpy(&d, &q, 8);
	return d;
}

// weir__parse_number reads the number that is all of a text.
WEIR__API bool weir__parse_number(const char *s, const char *end, double *into) {
	bool negative = s < end && *s == '-';
	s += negative;
	const char *digits = s;
	uint64_t mantissa = 0;
	int exponent = 0, seen = 0, used = 0;
	bool point = false;
	for (; s < end && (*s == '.' || (*s >= '0' && *s <= '9')); s++) {
		if (*s == '.') {
			if (point)
				return false;
			point = true;
			continue;
		}
		seen++;
		if (point)
			exponent--;
		if (mantissa || *s != '0')
			used++;
		if (used < 19)
			mantissa = mantissa * 10 + (uint64_t)(*s - '0');
	}
	if (!seen)
		return false;
	const char *last = s;
	if (s < end && (*s == 'e' || *s == 'E')) {
		s++;
		bool down = s < end && *s == '-';
		if (s < end && (*s == '-' || *s == '+'))
			s++;
		if (s == end)
			return false;
		int e = 0;
		for (; s < end && *s >= '0' && *s <= '9'; s++)
			e = e < 100000 ? e * 10 + (*s - '0') : e;
		exponent += down ? -e : e;
	}
	if (s != end)
		return false;
	double d;
	if (used < 19 && mantissa <= 1ull << 53 && exponent >= -22 && exponent <= 22)
		d = exponent < 0 ? (double)mantissa / weir__power(-exponent) : (double)mantissa * weir__power(exponent);
	else
		d = weir__slow_number(digits, last, exponent);
	if (__builtin_isinf(d))
		return false;
	*into = negative ? -d : d;
	return true;
}

WEIR__API bool weir__parse_int(const char *s, const char *end, int64_t *into) {
	bool negative = s < end && *s == '-';
	s += negative;
	if (s == end)
		return false;
	uint64_t n = 0;
	for (; s < end; s++) {
		if (*s < '0' || *s > '9')
			return false;
		if (n > (UINT64_MAX - 9) / 10)
			return false;
		n = n * 10 + (uint64_t)(*s - '0');
	}
	if (n > (uint64_t)INT64_MAX + negative)
		return false;
	*into = negative ? (int64_t)(0 - n) : (int64_t)n;
	return true;
}

// weir__plain is the text of a value, a string's without its quotes. Escapes stay:
// no number has any.
WEIR__INLINE void weir__plain(weir_value v, const char **from, const char **to) {
	if (weir__inside(v, from, to))
		return;
	size_t i = weir__space(v, 0), end = v.size;
	while (end > i && (v.json[end - 1] == ' ' || v.json[end - 1] == '\n' || v.json[end - 1] == '\r' || v.json[end - 1] == '\t'))
		end--;
	*from = v.json + i;
	*to = v.json + end;
}

// weir_number returns a number, 0 for anything else. A string that holds one
// counts.
WEIR__API double weir_number(weir_value v) {
	const char *from, *to;
	double d = 0;
	if (!v.json)
		return 0;
	weir__plain(v, &from, &to);
	return weir__parse_number(from, to, &d) ? d : 0;
}

// weir_int returns an integer, 0 for anything else: 1e3 and 1.0 are integers too,
// and what is left of a fraction is cut off.
WEIR__API int64_t weir_int(weir_value v) {
	const char *from, *to;
	int64_t n = 0;
	if (!v.json)
		return 0;
	weir__plain(v, &from, &to);
	if (weir__parse_int(from, to, &n))
		return n;
	double d = 0;
	if (!weir__parse_number(from, to, &d))
		return 0;
	return d >= 9223372036854775807.0 ? INT64_MAX : d <= -9223372036854775808.0 ? INT64_MIN : (int64_t)d;
}

// weir_bool reports whether a value is true.
WEIR__API bool weir_bool(weir_value v) {
	return v.size == 4 && v.json[0] == 't' && v.json[1] == 'r' && v.json[2] == 'u' && v.json[3] == 'e';
}

// weir_length returns the size of a text in bytes, as strlen does, which is missing
// without a C library.
WEIR__API size_t weir_length(const char *text) { return weir__length(text); }

// weir_equal reports whether two texts are the same.
WEIR__API bool weir_equal(const char *a, const char *b) {
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

// weir_contains reports whether part is somewhere in text.
WEIR__API bool weir_contains(const char *text, const char *part) {
	for (;; text++) {
		size_t i = 0;
		while (part[i] && text[i] == part[i])
			i++;
		if (!part[i])
			return true;
		if (!*text)
			return false;
	}
}

WEIR__API void weir__next(weir_item *item) {
	weir_value v = item->weir__rest;
	item->ok = false;
	size_t i = weir__space(v, 0);
	if (i < v.size && v.json[i] == ',')
		i = weir__space(v, i + 1);
	if (i >= v.size || v.json[i] == '}' || v.json[i] == ']')
		return;
	if (item->weir__object) {
		size_t end = weir__skip(v, i);
		item->key = weir_string((weir_value){v.json + i, end - i});
		i = weir__space(v, end);
		if (i >= v.size || v.json[i] != ':')
			return;
		i = weir__space(v, i + 1);
	}
	size_t end = weir__skip(v, i);
	if (end == i)
		return;
	item->value = (weir_value){v.json + i, end - i};
	item->weir__rest = (weir_value){v.json + end, v.size - end};
	item->ok = true;
}

WEIR__API weir_item weir__first(weir_value v) {
	weir_item item = {"", {NULL, 0}, false, false, {NULL, 0}};
	size_t i = weir__space(v, 0);
	if (i >= v.size || (v.json[i] != '{' && v.json[i] != '['))
		return item;
	item.weir__object = v.json[i] == '{';
	item.weir__rest = (weir_value){v.json + i + 1, v.size - i - 1};
	weir__next(&item);
	return item;
}

// weir__segment takes the first segment off a path, decoded, and returns the rest,
// NULL behind the last.
WEIR__API const char *weir__segment(const char *path, const char **segment) {
	char *to = weir__room(weir__length(path) + 1), *text = to;
	const char *s = path;
	for (; *s && *s != '.'; s++) {
		if (*s == '\\') {
			s++;
			if (*s != '.' && *s != '\\')
				weir__panic(weir_join("malformed path \"", path, "\": a backslash that is not before a dot or a backslash"));
		}
		*to++ = *s;
	}
	if (to == text || (*s == '.' && !s[1]))
		weir__panic("malformed path: an empty segment");
	*to = 0;
	weir__state.next = to + 1;
	*segment = text;
	return *s ? s + 1 : NULL;
}

// weir_at returns the value at a path below another one. It looks at all of the
// bytes before it: for data, weir_get is faster.
WEIR__API weir_value weir_at(weir_value v, const char *path) {
	if (!*path)
		return v;
	while (path) {
		const char *name;
		path = weir__segment(path, &name);
		char *mark = weir__state.next;
		char *end = weir__state.end;
		weir_value found = {NULL, 0};
		size_t i = weir__space(v, 0);
		if (i < v.size && v.json[i] == '[') {
			int64_t index;
			if (weir__parse_int(name, name + weir__length(name), &index) && index >= 0)
				WEIR_EACH(item, v) {
					if (index-- == 0) {
						found = item.value;
						break;
					}
				}
		} else {
			WEIR_EACH(item, v) {
				if (weir_equal(item.key, name))
					found = item.value; // of duplicate keys the last counts
				if (weir__state.end == end)
					weir__state.next = mark;
			}
		}
		v = found;
	}
	return v;
}

// ---- Data ----

WEIR__API weir_value weir__at(const char *path) {
	weir_value v;
	if (weir__pull(weir__from_path, 0, path, weir__length(path), &v) == WEIR_MALFORMED)
		weir__panic(weir_join("malformed path \"", path, "\""));
	return v;
}

// weir_get returns the value at a path of data. Forms and texts have values too: an
// object of strings, and a string.
WEIR__API weir_value weir_get(const char *path) { return weir__at(path); }

// weir_get_into copies the value at a path of data to a buffer where it fits, and
// returns its full size, or a negative code: -1 where there is none.
WEIR__API int32_t weir_get_into(const char *path, void *buffer, size_t room) {
	return weir__get(path, weir__length(path), buffer, room);
}

// weir_has reports whether there is a value at a path of data, null included.
WEIR__API bool weir_has(const char *path) {
	int32_t n = weir__get(path, weir__length(path), NULL, 0);
	if (n == WEIR_MALFORMED)
		weir__panic(weir_join("malformed path \"", path, "\""));
	return n >= 0;
}

// weir_get_string returns the string at a path of data, see weir_string.
WEIR__API const char *weir_get_string(const char *path) {
	weir_value v = weir__at(path);
	const char *from, *to;
	if (!v.json)
		return "";
	if (!weir__inside(v, &from, &to))
		return v.json;
	char *text = (char *)v.json; // in the arena, and ours
	char *end = weir__unquote(from, to, text);
	*end = 0;
	weir__state.next = end + 1;
	return text;
}

// The others need the value only while they look at it.
#define WEIR__LOOK(type, what)             \
	char *mark = weir__state.next;         \
	char *end = weir__state.end;           \
	type result = what(weir__at(path));    \
	if (weir__state.end == end)            \
		weir__state.next = mark;           \
	return result

// weir_get_int returns the integer at a path of data, 0 where there is none.
WEIR__API int64_t weir_get_int(const char *path) { WEIR__LOOK(int64_t, weir_int); }

// weir_get_number returns the number at a path of data, 0 where there is none.
WEIR__API double weir_get_number(const char *path) { WEIR__LOOK(double, weir_number); }

// weir_get_bool reports whether the value at a path of data is true.
WEIR__API bool weir_get_bool(const char *path) { WEIR__LOOK(bool, weir_bool); }

// weir_set_value puts a JSON value at a path of data. Objects that are missing on
// the way are made, and the index behind an array's last element appends.
WEIR__CHECKED int32_t weir_set_value(const char *path, weir_value v) {
	return weir__set(path, weir__length(path), v.json, v.size);
}

// weir_set puts a value that is given as JSON text.
WEIR__CHECKED int32_t weir_set(const char *path, const char *json) {
	return weir__set(path, weir__length(path), json, weir__length(json));
}

// weir_text returns a text as a JSON string.
WEIR__API weir_value weir_text(const char *text) {
	size_t size = 3;
	for (const char *s = text; *s; s++)
		size += (unsigned char)*s < 0x20 ? 6 : *s == '"' || *s == '\\' ? 2 : 1;
	char *json = weir__room(size), *to = json;
	*to++ = '"';
	for (const char *s = text; *s; s++) {
		char c = *s;
		if ((unsigned char)c >= 0x20) {
			if (c == '"' || c == '\\')
				*to++ = '\\';
			*to++ = c;
			continue;
		}
		*to++ = '\\';
		if (c == '\n' || c == '\r' || c == '\t') {
			*to++ = c == '\n' ? 'n' : c == '\r' ? 'r' : 't';
			continue;
		}
		*to++ = 'u';
		*to++ = '0';
		*to++ = '0';
		*to++ = "0123456789abcdef"[c >> 4];
		*to++ = "0123456789abcdef"[c & 15];
	}
	*to++ = '"';
	*to = 0;
	weir__state.next = to + 1;
	return (weir_value){json, (size_t)(to - json)};
}

// weir_set_string puts a string.
WEIR__CHECKED int32_t weir_set_string(const char *path, const char *text) {
	char *mark = weir__state.next, *end = weir__state.end;
	int32_t code = weir_set_value(path, weir_text(text));
	if (weir__state.end == end)
		weir__state.next = mark;
	return code;
}

WEIR__API char *weir__int_text(int64_t n, char *end) {
	uint64_t u = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
	do
		*--end = (char)('0' + u % 10);
	while (u /= 10);
	if (n < 0)
		*--end = '-';
	return end;
}

// weir_int_text returns an integer in decimal.
WEIR__API const char *weir_int_text(int64_t n) {
	char *end = (char *)weir_alloc(24) + 23;
	*end = 0;
	return weir__int_text(n, end);
}

// weir_set_int puts an integer.
WEIR__CHECKED int32_t weir_set_int(const char *path, int64_t n) {
	char buffer[24], *end = buffer + sizeof buffer, *at = weir__int_text(n, end);
	return weir__set(path, weir__length(path), at, (size_t)(end - at));
}

// weir__digits writes the fewest digits that read as d, which is above 0, and
// returns their number; d is 0.DIGITS times 10 to the point.
WEIR__API int weir__digits(double d, char *digits, int *point) {
	uint64_t bits;
	__builtin_memcpy(&bits, &d, 8);
	// A decimal of up to 15 digits that divides to d is the shortest.
	double power = 1;
	for (int places = 0; places <= 15; places++, power *= 10) {
		double scaled = d * power;
		if (scaled >= 1e15)
			break;
		uint64_t n = (uint64_t)(scaled + 0.5);
		if (n && (double)n / power == d) {
			char buffer[20], *end = buffer + 20, *at = weir__int_text((int64_t)n, end);
			int count = (int)(end - at);
			*point = count - places;
			for (int i = 0; i < count; i++)
				digits[i] = at[i];
			while (digits[count - 1] == '0')
				count--;
			return count;
		}
	}
	// Steele and White's algorithm: r/s is what is left of d, and d may become
	// larger by above/s and smaller by below/s without reading as another.
	uint64_t fraction = bits & ((1ull << 52) - 1);
	int exponent = (int)(bits >> 52 & 0x7FF);
	bool narrow = !fraction && exponent > 1; // the number below is nearer
	uint64_t mantissa = exponent ? fraction | 1ull << 52 : fraction;
	exponent = (exponent ? exponent : 1) - 1075;
	weir__big r = {0}, s = {0}, above = {0}, below = {0}, sum;
	weir__big_set(&r, mantissa);
	weir__big_set(&s, 1);
	weir__big_set(&above, 1);
	weir__big_set(&below, 1);
	if (exponent >= 0) {
		weir__big_shift(&r, exponent);
		weir__big_shift(&above, exponent);
		weir__big_shift(&below, exponent);
	} else {
		weir__big_shift(&s, -exponent);
	}
	weir__big_shift(&r, 1 + narrow);
	weir__big_shift(&s, 1 + narrow);
	weir__big_shift(&above, narrow);
	bool even = !(mantissa & 1);
	*point = 0;
	for (;;) { // until d < 1
		sum = r;
		weir__big_add(&sum, &above);
		int c = weir__big_compare(&sum, &s);
		if (c < 0 || (c == 0 && !even))
			break;
		weir__big_times(&s, 10, 0);
		++*point;
	}
	for (;;) { // until d >= 1/10
		sum = r;
		weir__big_add(&sum, &above);
		weir__big_times(&sum, 10, 0);
		int c = weir__big_compare(&sum, &s);
		if (c > 0 || (c == 0 && even))
			break;
		weir__big_times(&r, 10, 0);
		weir__big_times(&above, 10, 0);
		weir__big_times(&below, 10, 0);
		--*point;
	}
	for (int count = 0;;) {
		weir__big_times(&r, 10, 0);
		weir__big_times(&above, 10, 0);
		weir__big_times(&below, 10, 0);
		char digit = '0';
		for (; weir__big_compare(&r, &s) >= 0; digit++)
			weir__big_subtract(&r, &s);
		int low = weir__big_compare(&r, &below);
		sum = r;
		weir__big_add(&sum, &above);
		int high = weir__big_compare(&sum, &s);
		bool down = low < 0 || (low == 0 && even), up = high > 0 || (high == 0 && even);
		if (down && up) {
			weir__big_times(&r, 2, 0);
			up = weir__big_compare(&r, &s) >= 0;
		}
		digits[count++] = (char)(digit + (up && (down || up)));
		if (down || up)
			return count;
	}
}

// weir__number_text writes a number as JavaScript does, and returns its size, at
// most 26.
WEIR__API size_t weir__number_text(double d, char *text) {
	char digits[20], *to = text;
	int point;
	if (__builtin_signbit(d)) {
		*to++ = '-';
		d = -d;
	}
	if (d == 0) {
		*to++ = '0';
		return (size_t)(to - text);
	}
	int count = weir__digits(d, digits, &point), shown = 0;
	if (point > 21 || point < -5) {
		*to++ = digits[0];
		if (count > 1) {
			*to++ = '.';
			for (shown = 1; shown < count; shown++)
				*to++ = digits[shown];
		}
		*to++ = 'e';
		*to++ = point > 0 ? '+' : '-';
		char buffer[8], *end = buffer + 8, *at = weir__int_text(point > 0 ? point - 1 : 1 - point, end);
		while (at < end)
			*to++ = *at++;
		return (size_t)(to - text);
	}
	if (point <= 0) {
		*to++ = '0';
		*to++ = '.';
		for (int i = point; i < 0; i++)
			*to++ = '0';
	}
	for (; shown < count || shown < point; shown++) {
		if (shown == point && point > 0)
			*to++ = '.';
		*to++ = shown < count ? digits[shown] : '0';
	}
	return (size_t)(to - text);
}

// weir_set_number puts a number with the fewest digits that stand for it. Infinity
// and NaN are malformed.
WEIR__CHECKED int32_t weir_set_number(const char *path, double d) {
	char text[32];
	if (__builtin_isnan(d) || __builtin_isinf(d))
		return WEIR_MALFORMED;
	return weir__set(path, weir__length(path), text, weir__number_text(d, text));
}

// weir_number_text returns the same text.
WEIR__API const char *weir_number_text(double d) {
	char *text = (char *)weir_alloc(32);
	text[weir__number_text(d, text)] = 0;
	return text;
}

// weir_set_bool puts true or false.
WEIR__CHECKED int32_t weir_set_bool(const char *path, bool b) {
	return weir__set(path, weir__length(path), b ? "true" : "false", b ? 4 : 5);
}

// weir_set_null puts null.
WEIR__CHECKED int32_t weir_set_null(const char *path) { return weir__set(path, weir__length(path), "null", 4); }

// weir_remove takes the value at a path out of data, and reports whether there was
// one.
WEIR__API bool weir_remove(const char *path) {
	int32_t code = weir__remove(path, weir__length(path));
	if (code < WEIR_NO_PLACE)
		weir__panic(weir_join("remove \"", path, "\": ", weir_error(code)));
	return code == WEIR_OK;
}

// weir_data returns the data's bytes as they stand, whatever they are.
WEIR__API weir_value weir_data(void) {
	weir_value v;
	weir__pull(weir__from_field, 0, NULL, 0, &v);
	return v;
}

// weir_set_data replaces all of the data. Under a content type that claims JSON it
// must be one JSON value.
WEIR__CHECKED int32_t weir_set_data(const void *at, size_t size) { return weir__write(0, at, size); }

// ---- The rest of the event ----

// weir_message returns all of it as JSON: id, type, source, subject, time, header
// and data.
WEIR__API weir_value weir_message(void) {
	weir_value v;
	weir__pull(weir__from_field, 7, NULL, 0, &v);
	return v;
}

WEIR__API const char *weir_type(void) { return weir__field(1); }
WEIR__API const char *weir_id(void) { return weir__field(2); }
WEIR__API const char *weir_source(void) { return weir__field(3); }
WEIR__API const char *weir_subject(void) { return weir__field(4); }
WEIR__API const char *weir_time(void) { return weir__field(5); } // RFC 3339
WEIR__API const char *weir_content_type(void) { return weir__field(6); }
WEIR__API const char *weir_route(void) { return weir__field(9); }
WEIR__API const char *weir_tenant(void) { return weir__field(10); }

WEIR__CHECKED int32_t weir_set_type(const char *text) { return weir__write(1, text, weir__length(text)); }
WEIR__CHECKED int32_t weir_set_subject(const char *text) { return weir__write(4, text, weir__length(text)); }

// weir_set_content_type may claim JSON only when the data is JSON already.
WEIR__CHECKED int32_t weir_set_content_type(const char *text) { return weir__write(6, text, weir__length(text)); }

// weir_header returns a header's value, repeated ones joined by ", ", or "".
WEIR__API const char *weir_header(const char *name) {
	weir_value v;
	return weir__pull(weir__from_header, 0, name, weir__length(name), &v) < 0 ? "" : v.json;
}

// weir_set_header sets a header that the receiver gets.
WEIR__CHECKED int32_t weir_set_header(const char *name, const char *value) {
	return weir__set_header(name, weir__length(name), value, weir__length(value));
}

// weir_remove_header reports whether there was one.
WEIR__API bool weir_remove_header(const char *name) { return weir__remove_header(name, weir__length(name)) == 0; }

// weir_config returns the value at a path of the plugin's config, all of it for "":
// null when it is unset.
WEIR__API weir_value weir_config(const char *path) {
	weir_value v;
	weir__pull(weir__from_field, 8, NULL, 0, &v);
	return weir_at(v, path);
}

// weir_emit adds the message as it stands to the results, then puts it back to what
// it was at first. After it only what was emitted counts.
WEIR__CHECKED int32_t weir_emit(void) {
	int32_t code = weir__emit();
	if (code == WEIR_OK)
		weir__state.emitted++;
	return code;
}

// weir_log writes a line to the router's log.
WEIR__API void weir_log(int32_t level, const char *text) { weir__log(level, text, weir__length(text)); }

// ---- Calls ----

WEIR__API void weir__begin(void) {
	weir__state_t *s = &weir__state;
	s->next = s->first;
	s->end = s->first + sizeof s->first;
	s->emitted = 0;
	s->failed = false;
}

// weir__failed makes sure that a negative result has a reason.
WEIR__API int32_t weir__failed(int32_t code) {
	if (!weir__state.failed)
		weir_fail(weir_error(code));
	return code;
}

WEIR__API int32_t weir__end_filter(int32_t code) { return code < 0 ? weir__failed(code) : code != 0; }
WEIR__API int32_t weir__end_init(int32_t code) { return code < 0 ? weir__failed(code) : code; }
WEIR__API int32_t weir__end_transform(int32_t code) {
	if (code < 0)
		return weir__failed(code);
	return (code == WEIR_SEND || code == WEIR_DROP) && weir__state.emitted > 0 ? 2 : code;
}

#define WEIR__ENTRY(name)                                                            \
	static int32_t weir__user_##name(void);                                          \
	__attribute__((export_name("weir_" #name))) int32_t weir__call_##name(void) {    \
		weir__begin();                                                               \
		return weir__end_##name(weir__user_##name());                                \
	}                                                                                \
	static int32_t weir__user_##name(void)

#endif

// The conformance guest in C: what each SDK must be able to do, chosen by the type
// of the event. The events beside it say what must come of it.
#include "weir.h"

WEIR_INIT {
	if (weir_bool(weir_config("refuse")))
		return weir_fail("refused by its config");
	return WEIR_OK;
}

WEIR_FILTER {
	const char *type = weir_type();
	if (weir_equal(type, "filter.drop"))
		return false;
	if (weir_equal(type, "filter.fail"))
		return weir_fail("the filter gives up");
	if (weir_equal(type, "filter.change"))
		return weir_set_bool("changed", true);
	if (weir_equal(type, "filter.panic"))
		weir_panic("broken filter");
	return true;
}

#define IS(name) weir_equal(type, "do." name)

WEIR_TRANSFORM {
	const char *type = weir_type();
	if (IS("fields")) {
		weir_check(weir_set_string("saw.id", weir_id()));
		weir_check(weir_set_string("saw.type", weir_type()));
		weir_check(weir_set_string("saw.source", weir_source()));
		weir_check(weir_set_string("saw.subject", weir_subject()));
		weir_check(weir_set_string("saw.tenant", weir_tenant()));
		weir_check(weir_set_string("saw.time", weir_time()));
		weir_check(weir_set_string("saw.route", weir_route()));
		weir_check(weir_set_string("saw.content_type", weir_content_type()));
	} else if (IS("get")) {
		weir_check(weir_set_string("saw.text", weir_get_string("text")));
		weir_check(weir_set_int("saw.count", weir_get_int("count")));
		weir_check(weir_set_number("saw.ratio", weir_get_number("ratio")));
		weir_check(weir_set_bool("saw.yes", weir_get_bool("yes")));
		weir_check(weir_set_bool("saw.null", weir_has("nothing")));
		weir_check(weir_set_string("saw.escaped", weir_get_string("a\\.b.1.c\\\\d")));
		weir_check(weir_set_string("saw.unicode", weir_get_string("größe")));
		weir_check(weir_set_int("saw.whole", (int64_t)weir_length(weir_string(weir_at(weir_get(""), "text")))));
		weir_check(weir_set_value("saw.big", weir_get("big")));
		weir_check(weir_set_value("saw.exact", weir_get("exact")));
	} else if (IS("missing")) {
		weir_check(weir_set_bool("saw.there", weir_has("nope")));
		weir_check(weir_set_string("saw.text", weir_get_string("nope")));
		weir_check(weir_set_int("saw.count", weir_get_int("nope.deeper")));
		weir_check(weir_set_number("saw.ratio", weir_get_number("list.7")));
		weir_check(weir_set_bool("saw.yes", weir_get_bool("text.below")));
		weir_check(weir_set_string("saw.header", weir_header("x-none")));
		weir_check(weir_set_bool("saw.removed", weir_remove("nope")));
	} else if (IS("set")) {
		weir_check(weir_set_string("text", "é \"quoted\" \\ \n\x01 😀"));
		weir_check(weir_set_int("int", 9007199254740993));
		weir_check(weir_set_int("negative", -7));
		weir_check(weir_set_number("float", 1.5));
		weir_check(weir_set_number("large", 1e21));
		weir_check(weir_set_bool("yes", true));
		weir_check(weir_set_bool("no", false));
		weir_check(weir_set_null("nothing"));
		weir_check(weir_set_int("made.on.the.way", 1));
		weir_check(weir_set_string("list.2", "appended"));
		weir_check(weir_set("list.0", "{\"raw\": 1.0}"));
	} else if (IS("remove")) {
		bool there = weir_remove("secret");
		bool inside = weir_remove("list.1");
		weir_check(weir_set_bool("saw.there", there));
		weir_check(weir_set_bool("saw.inside", inside));
		weir_check(weir_set_bool("saw.again", weir_remove("secret")));
	} else if (IS("walk")) {
		int64_t sum = 0;
		WEIR_EACH(item, weir_get("items"))
			sum += weir_int(weir_at(item.value, "n"));
		const char *keys = "";
		WEIR_EACH(item, weir_get("names"))
			keys = weir_join(keys, *keys ? " " : "", item.key, "=", weir_string(item.value));
		weir_check(weir_set_int("saw.sum", sum));
		weir_check(weir_set_string("saw.keys", keys));
	} else if (IS("headers")) {
		weir_check(weir_set_string("saw.one", weir_header("X-One")));
		weir_check(weir_set_string("saw.repeated", weir_header("x-many")));
		weir_check(weir_set_header("X-New", "new"));
		weir_check(weir_set_header("x-one", "changed"));
		weir_check(weir_set_string("saw.now", weir_header("x-ONE")));
		weir_check(weir_set_bool("saw.removed", weir_remove_header("X-Two")));
		weir_check(weir_set_bool("saw.again", weir_remove_header("x-two")));
	} else if (IS("write")) {
		weir_check(weir_set_type("done.written"));
		weir_check(weir_set_subject("the subject"));
		weir_check(weir_set_content_type("text/plain"));
		weir_check(weir_set_data("plain é", sizeof "plain é" - 1));
	} else if (IS("unset")) {
		weir_check(weir_set_subject(""));
	} else if (IS("bytes")) {
		weir_value data = weir_data();
		char *after = weir_alloc(data.size + 2);
		__builtin_memcpy(after, data.json, data.size);
		after[data.size] = (char)0xff;
		after[data.size + 1] = (char)data.size;
		weir_check(weir_set_data(after, data.size + 2));
	} else if (IS("form")) {
		const char *hello = weir_join("hello=", weir_get_string("name"));
		weir_check(weir_set_data(hello, weir_length(hello)));
	} else if (IS("large")) {
		weir_check(weir_set_int("saw.length", (int64_t)weir_length(weir_get_string("text"))));
	} else if (IS("message")) {
		weir_check(weir_set_value("saw.type", weir_at(weir_message(), "type")));
		weir_check(weir_set_value("saw.name", weir_at(weir_message(), "data.name")));
	} else if (IS("clock")) {
		// Without a C library there is neither: the event's time is the closest.
		weir_check(weir_set_int("saw.now", 1707019506789));
		weir_check(weir_set_bool("saw.random", true));
	} else if (IS("config")) {
		weir_check(weir_set_int("saw.limit", weir_int(weir_config("limit"))));
		weir_check(weir_set_value("saw.second", weir_config("names.1")));
		weir_check(weir_set_bool("saw.missing", weir_exists(weir_config("nope"))));
	} else if (IS("split")) {
		WEIR_EACH(item, weir_get("items")) {
			weir_check(weir_set_value("item", item.value));
			weir_remove("items");
			weir_check(weir_emit());
		}
	} else if (IS("drop")) {
		return WEIR_DROP;
	} else if (IS("emit-drop")) {
		weir_check(weir_set_bool("first", true));
		weir_check(weir_emit());
		weir_check(weir_set_bool("second", true));
		return WEIR_DROP;
	} else if (IS("fail")) {
		return weir_fail("no customer é");
	} else if (IS("emit-fail")) {
		weir_check(weir_emit());
		return weir_fail("after an emit");
	} else if (IS("log")) {
		weir_log(WEIR_TRACE, "a trace");
		weir_log(WEIR_DEBUG, "a detail");
		weir_log(WEIR_INFO, "said é");
		weir_log(WEIR_WARN, "be warned");
		weir_log(WEIR_ERROR, "an error");
	} else if (IS("panic")) {
		weir_panic("broken: 7");
	} else if (IS("bad-path")) {
		weir_get("a..b");
	} else if (IS("reserved")) {
		return weir_set_header("Authorization", "x");
	} else if (IS("no-place")) {
		return weir_set_int("text.below", 1);
	} else if (IS("malformed")) {
		return weir_set_type("");
	} else if (IS("too-many")) {
		int32_t code;
		while ((code = weir_emit()) == WEIR_OK)
			;
		return code;
	}
	return WEIR_SEND;
}

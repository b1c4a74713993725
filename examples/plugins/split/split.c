// Splits a batch into single events: each element of a list becomes the data of an
// event of its own.
#include "weir.h"

// The config's texts, "" where one is unset.
static const char *setting(const char *name) { return weir_string(weir_config(name)); }

WEIR_INIT {
	if (!weir_exists(weir_config("list")))
		return weir_fail("config: list is the path of the list to split, such as \"batch\", or \"\" where data is the list");
	return WEIR_OK;
}

WEIR_TRANSFORM {
	weir_value list = weir_get(setting("list"));
	if (weir_kind(list) != '[')
		return weir_fail(weir_join("there is no list at \"", setting("list"), "\" of data"));
	const char *type = setting("type"), *prefix = setting("prefix");
	weir_value batch = weir_get("");
	weir_value keep = weir_config("keep");

	int32_t code = WEIR_OK;
	WEIR_EACH(item, list) {
		if ((code = weir_set_value("", item.value)) < 0)
			return code;
		// What the whole batch says, each of its events says too.
		WEIR_EACH(name, keep) {
			weir_value shared = weir_at(batch, weir_string(name.value));
			if (weir_exists(shared) && (code = weir_set_value(weir_string(name.value), shared)) < 0)
				return code;
		}
		weir_value kind = *type ? weir_at(item.value, type) : item.value;
		if (*type && weir_exists(kind) && (code = weir_set_type(weir_join(prefix, weir_string(kind)))) < 0)
			return code;
		if ((code = weir_emit()) == WEIR_LIMIT)
			return weir_fail("the batch is too large: more than 64 events or 4 MiB");
		if (code < 0)
			return code;
	}
	// Of an empty list nothing is left.
	return WEIR_DROP;
}

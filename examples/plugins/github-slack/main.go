// The plugin github-slack turns GitHub's events into messages for Slack's
// incoming webhooks: {"text": "…"} in Slack's own markup.
package main

import (
	"strconv"
	"strings"

	weir "github.com/weirhq/weir/sdk/go"
)

func main() {}

//go:wasmexport weir_transform
func transform() int32 {
	return weir.Transform(func(m *weir.Message) error {
		text := describe(eventName(m.Header("x-github-event"), m.Type()), m.Get(""))
		if text == "" {
			return weir.Drop // such as a push without commits
		}
		if prefix := weir.Config().Get("prefix"); prefix.Exists() {
			text = prefix.String() + " " + text
		}
		if err := m.SetData([]byte(`{"text":` + string(weir.Text(text)) + `}`)); err != nil {
			return err
		}
		return m.SetContentType("application/json")
	})
}

// eventName is GitHub's header, or the last part of a type such as
// "github.push" where the event came another way.
func eventName(header, typ string) string {
	if header != "" {
		return header
	}
	return typ[strings.LastIndexByte(typ, '.')+1:]
}

// describe puts an event into one message, "" for none.
func describe(name string, e weir.Value) string {
	who := bold(first(e.Get("sender.login"), e.Get("pusher.name")))
	repo := link(e.Get("repository.html_url"), e.Get("repository.full_name"))
	action := strings.ReplaceAll(e.Get("action").String(), "_", " ")
	switch name {
	case "push":
		return push(e, who, repo)
	case "pull_request":
		if action == "closed" && e.Get("pull_request.merged").Bool() {
			action = "merged"
		}
		return who + " " + action + " pull request " + numbered(e.Get("pull_request")) + " in " + repo
	case "issues":
		return who + " " + action + " issue " + numbered(e.Get("issue")) + " in " + repo
	case "issue_comment":
		if action != "created" {
			action += " a comment"
		} else {
			action = "commented"
		}
		return who + " " + action + " on " + numbered(e.Get("issue")) + " in " + repo + quote(e.Get("comment.body"))
	case "release":
		release := e.Get("release")
		return who + " " + action + " release " + link(release.Get("html_url"), weir.Text(first(release.Get("name"), release.Get("tag_name")))) + " of " + repo
	case "create", "delete":
		return who + " " + name + "d " + escape(e.Get("ref_type").String()) + " `" + escape(e.Get("ref").String()) + "` in " + repo
	}
	text := "GitHub " + strings.ReplaceAll(escape(name), "_", " ")
	if action != "" {
		text += " (" + escape(action) + ")"
	}
	if who != "" {
		text += " by " + who
	}
	if repo != "" {
		text += " in " + repo
	}
	return text
}

const (
	mostCommits = 5 // of a push are listed
	shortID     = 7 // characters of a commit's id, as GitHub shows it
)

func push(e weir.Value, who, repo string) string {
	var lines []string
	count := 0
	e.Get("commits").Each(func(_ string, c weir.Value) bool {
		count++
		if count <= mostCommits {
			title, _, _ := strings.Cut(c.Get("message").String(), "\n")
			id := c.Get("id").String()
			lines = append(lines, "\n• "+link(c.Get("url"), weir.Text(id[:min(shortID, len(id))]))+" "+escape(title))
		}
		return true
	})
	if count == 0 {
		return ""
	}
	if count > mostCommits {
		lines = append(lines, "\n… and "+strconv.Itoa(count-mostCommits)+" more")
	}
	commits := strconv.Itoa(count) + " commits"
	if count == 1 {
		commits = "1 commit"
	}
	branch := strings.TrimPrefix(e.Get("ref").String(), "refs/heads/")
	return who + " pushed " + commits + " to `" + escape(branch) + "` of " + repo + strings.Join(lines, "")
}

// numbered is an issue or a pull request: "#7 Title", linked.
func numbered(v weir.Value) string {
	return link(v.Get("html_url"), weir.Text("#"+v.Get("number").String()+" "+v.Get("title").String()))
}

func link(url, text weir.Value) string {
	switch {
	case !text.Exists():
		return ""
	case !url.Exists():
		return escape(text.String())
	}
	return "<" + escape(url.String()) + "|" + escape(text.String()) + ">"
}

// quote is the first line of a comment, shortened.
func quote(body weir.Value) string {
	line, _, _ := strings.Cut(strings.TrimSpace(body.String()), "\n")
	line = strings.TrimRight(line, "\r")
	if line == "" {
		return ""
	}
	if r := []rune(line); len(r) > 200 {
		line = string(r[:200]) + "…"
	}
	return "\n> " + escape(line)
}

func bold(s string) string {
	if s == "" {
		return ""
	}
	return "*" + escape(s) + "*"
}

// first returns the first that is a string with something in it.
func first(values ...weir.Value) string {
	for _, v := range values {
		if s := v.String(); s != "" && s != "null" {
			return s
		}
	}
	return ""
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// escape hides what Slack would read as markup of its own.
func escape(s string) string { return escaper.Replace(s) }

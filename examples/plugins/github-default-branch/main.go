// The plugin github-default-branch keeps, of GitHub's pushes, those to the
// repository's default branch. Events that are no push go on.
package main

import weir "github.com/weirhq/weir/sdk/go"

func main() {}

//go:wasmexport weir_filter
func filter() int32 {
	return weir.Filter(func(m *weir.Message) (bool, error) {
		if m.Header("x-github-event") != "push" && m.Type() != "github.push" {
			return true, nil
		}
		return keep(m.String("ref"), m.String("repository.default_branch")), nil
	})
}

// keep says whether a push to ref is one to the default branch. Tags are not.
func keep(ref, defaultBranch string) bool {
	return defaultBranch != "" && ref == "refs/heads/"+defaultBranch
}

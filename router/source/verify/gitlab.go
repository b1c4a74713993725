package verify

const gitlabHeader = "X-Gitlab-Token"

func init() { register(Preset{Kind: "gitlab", Needs: []string{"secrets"}, new: newGitLab}) }

// newGitLab returns the scheme of GitLab's secret token, which is sent as it is.
func newGitLab(o Options) (Scheme, error) {
	o.Header = gitlabHeader
	return newToken(o)
}

package dashboard

import "github.com/weirhq/weir/router/api"

// configuration shows what runs, which is not always what lies on the disk.
func configuration(v *visit) (*view, error) {
	var c api.Config
	if err := v.get("/api/config", nil, &c); err != nil {
		return nil, err
	}
	return &view{Page: "configuration", Title: "Configuration", Section: "configuration", Data: c}, nil
}

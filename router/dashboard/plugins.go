package dashboard

import "github.com/weirhq/weir/router/api"

func plugins(v *visit) (*view, error) {
	var list api.PluginList
	if err := v.get("/api/plugins", nil, &list); err != nil {
		return nil, err
	}
	return &view{Page: "plugins", Title: "Plugins", Section: "plugins", Live: "kinds=event", Data: list}, nil
}

func onePlugin(v *visit) (*view, error) {
	var p api.Plugin
	if err := v.get("/api/plugins/"+v.param("name"), nil, &p); err != nil {
		return nil, err
	}
	return &view{Page: "plugin", Title: "Plugin " + p.Name, Section: "plugins", Live: "kinds=event", Data: p}, nil
}

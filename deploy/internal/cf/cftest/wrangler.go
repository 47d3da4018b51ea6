package cftest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
)

// Script is a Worker as it was uploaded.
type Script struct {
	Tag       string
	Secrets   map[string]string
	Resources map[string]string // of other bindings: what each is bound to, by its name
	Modules   map[string]int    // bytes of each file
	Subdomain bool              // it is reached at workers.dev

	next *Script // a version that is not deployed
}

// Consumer is what a queue's messages go to.
type Consumer struct {
	Script string `json:"script_name"`
	Dead   string `json:"dead_letter_queue"`
}

// ofWrangler is what Wrangler asks for when it deploys. Nobody publishes the shapes of it, so only what a deployment depends on is looked at.
var ofWrangler = map[string]func(call) reply{
	"GET /accounts/{account}/workers/services/{script}": func(c call) reply {
		return c.ofScript(func(*Script) reply {
			return ok(map[string]any{"id": c.r.PathValue("script"), "default_environment": map[string]any{
				"environment": "production", "script": map[string]any{"last_deployed_from": "wrangler"},
			}})
		})
	},
	"GET /accounts/{account}/workers/scripts/{script}/settings": func(c call) reply {
		return c.ofScript(func(*Script) reply { return ok(map[string]any{"bindings": []any{}}) })
	},
	"POST /accounts/{account}/workers/scripts/{script}/assets-upload-session": func(call) reply {
		return ok(map[string]any{"jwt": "all-there", "buckets": []any{}})
	},
	"PUT /accounts/{account}/workers/scripts/{script}": func(c call) reply {
		s, bad := c.uploaded()
		if s == nil {
			return bad
		}
		c.scripts[c.r.PathValue("script")] = s
		return ok(map[string]any{"id": c.r.PathValue("script"), "startup_time_ms": 1, "deployment_id": strings.Repeat("0", 32)})
	},
	// A Worker that is there already gets a version first, which is deployed then.
	"POST /accounts/{account}/workers/scripts/{script}/versions": func(c call) reply {
		return c.ofScript(func(there *Script) reply {
			s, bad := c.uploaded()
			if s == nil {
				return bad
			}
			there.next = s
			return ok(map[string]any{"id": "next", "number": 2, "startup_time_ms": 1, "resources": map[string]any{}})
		})
	},
	"POST /accounts/{account}/workers/scripts/{script}/deployments": func(c call) reply {
		return c.ofScript(func(there *Script) reply {
			if there.next == nil {
				return reply{http.StatusBadRequest, failed(10021, "there is no such version")}
			}
			c.scripts[c.r.PathValue("script")] = there.next
			return ok(map[string]any{"id": "d"})
		})
	},
	"PATCH /accounts/{account}/workers/scripts/{script}/script-settings": func(c call) reply {
		return c.ofScript(func(*Script) reply { return ok(map[string]any{}) })
	},
	"GET /accounts/{account}/workers/workers/{script}": func(c call) reply {
		return c.ofScript(func(s *Script) reply {
			return ok(map[string]any{"id": "w", "name": c.r.PathValue("script"), "subdomain": map[string]any{"enabled": s.Subdomain}})
		})
	},
	"POST /accounts/{account}/workers/scripts/{script}/subdomain": func(c call) reply {
		return c.ofScript(func(s *Script) reply { s.Subdomain = true; return ok(map[string]any{"enabled": true}) })
	},
	"GET /accounts/{account}/containers/applications": func(c call) reply {
		return ok(append([]map[string]any{}, c.containers...))
	},
	"POST /accounts/{account}/containers/applications": func(c call) reply {
		var asked map[string]any
		c.decode(&asked)
		asked["id"] = fmt.Sprint("application", len(c.containers))
		c.containers = append(c.containers, asked)
		return ok(asked)
	},
	"PATCH /accounts/{account}/containers/applications/{application}":         func(c call) reply { return ok(map[string]any{"id": c.r.PathValue("application")}) },
	"POST /accounts/{account}/containers/applications/{application}/rollouts": func(call) reply { return ok(map[string]any{"id": "r"}) },
	"DELETE /accounts/{account}/containers/applications/{application}": func(c call) reply {
		at := slices.IndexFunc(c.containers, func(a map[string]any) bool { return a["id"] == c.r.PathValue("application") })
		if at < 0 {
			return reply{http.StatusNotFound, failed(1000, "APPLICATION_NOT_FOUND")}
		}
		c.containers = slices.Delete(c.containers, at, at+1)
		return ok(nil)
	},
	"POST /accounts/{account}/containers/registries/{registry}/credentials": func(c call) reply {
		return ok(map[string]any{"account_id": Account, "registry_host": c.r.PathValue("registry"), "username": "v1", "password": RegistryPassword})
	},
	"POST /accounts/{account}/queues/{queue}/consumers": func(c call) reply {
		var asked Consumer
		c.decode(&asked)
		return c.onQueue(func(q *queue) reply { q.consumers = append(q.consumers, asked); return ok(map[string]any{}) })
	},
	"PUT /accounts/{account}/queues/{queue}/consumers/{consumer}": func(c call) reply {
		var asked Consumer
		c.decode(&asked)
		return c.onQueue(func(q *queue) reply { q.consumers = []Consumer{asked}; return ok(map[string]any{}) })
	},
}

// uploaded is a Worker, out of a form with its metadata and its modules. Without one, it is what is wrong.
func (c call) uploaded() (*Script, reply) {
	wrong := func(code int, what string) (*Script, reply) {
		return nil, reply{http.StatusBadRequest, failed(code, what)}
	}
	_, params, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil {
		return wrong(10021, "no form")
	}
	s := &Script{Secrets: map[string]string{}, Resources: map[string]string{}, Modules: map[string]int{}}
	if old := c.scripts[c.r.PathValue("script")]; old != nil {
		s.Subdomain = old.Subdomain
		maps.Copy(s.Secrets, old.Secrets) // Wrangler keeps them
	}
	form := multipart.NewReader(bytes.NewReader(c.body), params["boundary"])
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return wrong(10021, err.Error())
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return wrong(10021, err.Error())
		}
		if part.FormName() != "metadata" {
			s.Modules[part.FormName()] = len(data)
			continue
		}
		var meta struct {
			Bindings []struct {
				Name, Type, Text, Dataset string
				Bucket                    string `json:"bucket_name"`
				Queue                     string `json:"queue_name"`
			}
			Annotations struct {
				Tag string `json:"workers/tag"`
			}
		}
		if err := json.Unmarshal(data, &meta); err != nil {
			return wrong(10021, err.Error())
		}
		s.Tag = meta.Annotations.Tag
		for _, b := range meta.Bindings {
			switch {
			case b.Type == "secret_text":
				s.Secrets[b.Name] = b.Text
			case b.Type == "r2_bucket" && c.buckets["/"+b.Bucket] == nil:
				return wrong(10085, "The bucket "+b.Bucket+" does not exist.")
			default:
				s.Resources[b.Name] = b.Bucket + b.Queue + b.Dataset
			}
		}
	}
	return s, reply{}
}

func (c call) onQueue(do func(*queue) reply) reply {
	at := slices.IndexFunc(c.queues, func(q queue) bool { return q.id == c.r.PathValue("queue") })
	if at < 0 {
		return reply{http.StatusNotFound, failed(11000, "The queue does not exist.")}
	}
	return do(&c.queues[at])
}

// Script returns a Worker, or nil.
func (c *Cloud) Script(name string) *Script {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.scripts[name]
}

// Containers returns the names of the applications of Containers.
func (c *Cloud) Containers() (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.containers {
		names = append(names, fmt.Sprint(a["name"]))
	}
	return names
}

// Consumers returns where a queue's messages go.
func (c *Cloud) Consumers(name string) []Consumer {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, q := range c.queues {
		if q.name == name {
			return slices.Clone(q.consumers)
		}
	}
	return nil
}

func (q queue) json() map[string]any {
	consumers := []any{}
	for i, consumer := range q.consumers {
		consumers = append(consumers, map[string]any{
			"consumer_id": fmt.Sprint("consumer", i), "type": "worker", "script": consumer.Script, "service": consumer.Script, "environment": "production",
			"dead_letter_queue": consumer.Dead, "settings": map[string]any{},
		})
	}
	return map[string]any{"queue_id": q.id, "queue_name": q.name, "consumers": consumers, "producers": []any{}}
}

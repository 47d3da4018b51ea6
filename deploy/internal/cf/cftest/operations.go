package cftest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// operations are what the API does, by the keys of api.json.
var operations = map[string]func(call) reply{
	"GET /accounts/{account}/r2/buckets/{bucket}": func(c call) reply {
		return c.inBucket(func(b *Bucket) reply {
			return ok(map[string]any{"name": c.r.PathValue("bucket"), "location": b.Location, "jurisdiction": c.jurisdiction(), "storage_class": "Standard"})
		})
	},
	"POST /accounts/{account}/r2/buckets": func(c call) reply {
		var asked struct{ Name, LocationHint string }
		c.decode(&asked)
		id := c.r.Header.Get("Cf-R2-Jurisdiction") + "/" + asked.Name
		if c.buckets[id] != nil {
			return reply{http.StatusConflict, failed(10004, "The bucket you tried to create already exists, and you own it.")}
		}
		c.buckets[id] = &Bucket{
			Location: asked.LocationHint, Told: map[string][]json.RawMessage{},
			Lifecycle: []json.RawMessage{json.RawMessage(`{"id":"Default Multipart Abort Rule","enabled":true,"conditions":{"prefix":""},` +
				`"abortMultipartUploadsTransition":{"condition":{"type":"Age","maxAge":604800}}}`)},
		}
		return ok(map[string]any{"name": asked.Name, "jurisdiction": c.jurisdiction()})
	},
	"GET /accounts/{account}/r2/buckets/{bucket}/domains/managed": func(c call) reply {
		return c.inBucket(func(b *Bucket) reply {
			return ok(map[string]any{"bucketId": "b", "domain": "pub-b.r2.dev", "enabled": b.Public})
		})
	},
	"GET /accounts/{account}/r2/buckets/{bucket}/domains/custom": func(c call) reply {
		return c.inBucket(func(b *Bucket) reply {
			domains := []any{}
			for _, d := range b.Domains {
				domains = append(domains, map[string]any{"domain": d, "enabled": true, "status": map[string]any{"ownership": "active", "ssl": "active"}})
			}
			return ok(map[string]any{"domains": domains})
		})
	},
	"GET /accounts/{account}/r2/buckets/{bucket}/cors": func(c call) reply {
		return c.inBucket(func(b *Bucket) reply {
			if b.CORS == nil {
				return reply{http.StatusNotFound, failed(10059, "The CORS configuration does not exist.")}
			}
			return ok(map[string]any{"rules": b.CORS})
		})
	},
	"PUT /accounts/{account}/r2/buckets/{bucket}/cors": func(c call) reply {
		return c.inBucket(func(b *Bucket) reply { b.CORS = c.rules(); return ok(map[string]any{}) })
	},
	"GET /accounts/{account}/r2/buckets/{bucket}/lifecycle": func(c call) reply {
		return c.inBucket(func(b *Bucket) reply { return ok(map[string]any{"rules": b.Lifecycle}) })
	},
	"PUT /accounts/{account}/r2/buckets/{bucket}/lifecycle": func(c call) reply {
		return c.inBucket(func(b *Bucket) reply { b.Lifecycle = c.rules(); return ok(map[string]any{}) })
	},
	"DELETE /accounts/{account}/r2/buckets/{bucket}": func(c call) reply {
		return c.inBucket(func(b *Bucket) reply {
			if b.Objects > 0 {
				return reply{http.StatusConflict, failed(10008, "The bucket you tried to delete is not empty.")}
			}
			delete(c.buckets, c.r.Header.Get("Cf-R2-Jurisdiction")+"/"+c.r.PathValue("bucket"))
			return ok(map[string]any{})
		})
	},
	"GET /accounts/{account}/queues": func(c call) reply {
		list := []any{}
		for _, q := range c.queues {
			if name := c.r.URL.Query().Get("name"); name == "" || name == q.name {
				list = append(list, q.json())
			}
		}
		return ok(list)
	},
	"POST /accounts/{account}/queues": func(c call) reply {
		var asked struct {
			Name string `json:"queue_name"`
		}
		c.decode(&asked)
		if slices.ContainsFunc(c.queues, func(q queue) bool { return q.name == asked.Name }) {
			return reply{http.StatusConflict, failed(11009, "Queue name is already taken.")}
		}
		q := queue{id: fmt.Sprintf("queue%d", len(c.queues)), name: asked.Name}
		c.queues = append(c.queues, q)
		return ok(map[string]any{"queue_id": q.id, "queue_name": q.name})
	},
	"DELETE /accounts/{account}/queues/{queue}": func(c call) reply {
		at := slices.IndexFunc(c.queues, func(q queue) bool { return q.id == c.r.PathValue("queue") })
		if at < 0 {
			return reply{http.StatusNotFound, failed(11000, "The queue does not exist.")}
		}
		c.queues = slices.Delete(c.queues, at, at+1)
		return ok(nil)
	},
	"GET /accounts/{account}/event_notifications/r2/{bucket}/configuration": func(c call) reply {
		return c.inBucket(func(b *Bucket) reply {
			told := []any{}
			for _, q := range c.queues {
				if rules := b.Told[q.id]; len(rules) > 0 {
					told = append(told, map[string]any{"queueId": q.id, "queueName": q.name, "rules": rules})
				}
			}
			return ok(map[string]any{"bucketName": c.r.PathValue("bucket"), "queues": told})
		})
	},
	"DELETE /accounts/{account}/event_notifications/r2/{bucket}/configuration/queues/{queue}": func(c call) reply {
		return c.inBucket(func(b *Bucket) reply {
			if len(b.Told[c.r.PathValue("queue")]) == 0 {
				return reply{http.StatusNotFound, failed(11015, "There is no such notification.")}
			}
			delete(b.Told, c.r.PathValue("queue"))
			return ok(map[string]any{})
		})
	},
	"PUT /accounts/{account}/event_notifications/r2/{bucket}/configuration/queues/{queue}": func(c call) reply {
		return c.inBucket(func(b *Bucket) reply {
			id := c.r.PathValue("queue")
			if !slices.ContainsFunc(c.queues, func(q queue) bool { return q.id == id }) {
				return reply{http.StatusNotFound, failed(11011, "The queue does not exist.")}
			}
			for _, rule := range c.rules() {
				for _, there := range slices.Concat(slices.Collect(maps.Values(b.Told))...) {
					if overlap(rule, there) {
						return reply{http.StatusConflict, failed(11020, "The rule overlaps with another.")}
					}
				}
				b.Told[id] = append(b.Told[id], rule)
			}
			return ok(map[string]any{})
		})
	},

	"GET /accounts/{account}/tokens": func(c call) reply {
		list := []any{}
		if page := c.r.URL.Query().Get("page"); page == "" || page == "1" {
			for _, t := range c.tokens {
				list = append(list, t.json())
			}
		}
		return ok(list)
	},
	"GET /accounts/{account}/tokens/permission_groups": func(call) reply {
		return ok([]any{
			map[string]any{"id": strings.Repeat("1", 32), "name": "Workers R2 Storage Bucket Item Read", "scopes": []string{"com.cloudflare.edge.r2.bucket"}},
			map[string]any{"id": itemWrite, "name": "Workers R2 Storage Bucket Item Write", "scopes": []string{"com.cloudflare.edge.r2.bucket"}},
		})
	},
	"POST /accounts/{account}/tokens": func(c call) reply {
		c.minted++
		t := &APIToken{ID: fmt.Sprintf("%032x", c.minted), Status: "active"}
		t.change(c)
		t.roll(c)
		c.tokens = append(c.tokens, t)
		made := t.json()
		made["value"] = t.Value
		return ok(made)
	},
	"PUT /accounts/{account}/tokens/{token}": func(c call) reply {
		return c.onToken(func(t *APIToken) reply { t.change(c); return ok(t.json()) })
	},
	"DELETE /accounts/{account}/tokens/{token}": func(c call) reply {
		return c.onToken(func(t *APIToken) reply {
			c.tokens = slices.DeleteFunc(c.tokens, func(other *APIToken) bool { return other == t })
			return ok(map[string]any{"id": t.ID})
		})
	},
	"PUT /accounts/{account}/tokens/{token}/value": func(c call) reply {
		return c.onToken(func(t *APIToken) reply { t.roll(c); return ok(t.Value) })
	},
	"GET /accounts/{account}/workers/scripts/{script}/deployments": func(c call) reply {
		return c.ofScript(func(*Script) reply {
			return ok(map[string]any{"deployments": []any{map[string]any{
				"id": "d", "source": "wrangler", "strategy": "percentage", "created_on": "2026-01-02T12:00:00Z",
				"versions": []any{map[string]any{"version_id": "v", "percentage": 100}},
			}}})
		})
	},
	"GET /accounts/{account}/workers/scripts/{script}/versions/{version}": func(c call) reply {
		return c.ofScript(func(s *Script) reply {
			return ok(map[string]any{"id": "v", "number": 1, "resources": map[string]any{"bindings": []any{map[string]any{
				"name": "CONTAINERS", "type": "durable_object_namespace", "class_name": "Transcoder", "namespace_id": "namespace",
			}}}, "annotations": map[string]any{"workers/tag": s.Tag}})
		})
	},
	"GET /accounts/{account}/workers/scripts/{script}/secrets": func(c call) reply {
		return c.ofScript(func(s *Script) reply {
			list := []any{}
			for _, name := range slices.Sorted(maps.Keys(s.Secrets)) {
				list = append(list, map[string]any{"name": name, "type": "secret_text"})
			}
			return ok(list)
		})
	},
	"DELETE /accounts/{account}/workers/scripts/{script}/secrets/{secret}": func(c call) reply {
		return c.ofScript(func(s *Script) reply {
			delete(s.Secrets, c.r.PathValue("secret"))
			s.Tag = "" // another version
			return ok(nil)
		})
	},
	"DELETE /accounts/{account}/workers/scripts/{script}": func(c call) reply {
		return c.ofScript(func(*Script) reply {
			if c.r.URL.Query().Get("force") != "true" {
				return reply{http.StatusConflict, failed(10064, "The script is in use.")}
			}
			delete(c.scripts, c.r.PathValue("script"))
			return ok(map[string]any{})
		})
	},
	"GET /accounts/{account}/workers/subdomain": func(c call) reply {
		if c.Subdomain == "" {
			return reply{http.StatusNotFound, failed(10007, "The account has no subdomain.")}
		}
		return ok(map[string]any{"subdomain": c.Subdomain})
	},
	"GET /accounts/{account}/workers/domains": func(c call) reply {
		list := []any{}
		for _, host := range slices.Sorted(maps.Keys(c.domains)) {
			list = append(list, map[string]any{"id": "id-" + host, "hostname": host, "service": c.domains[host], "zone_id": "z", "zone_name": "example.com"})
		}
		return ok(list)
	},
	"PUT /accounts/{account}/workers/domains": func(c call) reply {
		var asked struct{ Hostname, Service string }
		c.decode(&asked)
		if _, there := c.scripts[asked.Service]; !there {
			return reply{http.StatusNotFound, failed(10007, "This Worker does not exist on your account.")}
		}
		c.domains[asked.Hostname] = asked.Service
		return ok(map[string]any{"id": "id-" + asked.Hostname, "hostname": asked.Hostname, "service": asked.Service})
	},
	"DELETE /accounts/{account}/workers/domains/{domain}": func(c call) reply {
		host := strings.TrimPrefix(c.r.PathValue("domain"), "id-")
		if _, there := c.domains[host]; !there {
			return reply{http.StatusNotFound, failed(100114, "The domain does not exist.")}
		}
		delete(c.domains, host)
		return ok(nil)
	},
}

// overlap tells whether one object could be told of by two rules.
func overlap(a, b json.RawMessage) bool {
	var x, y struct{ Prefix string }
	_, _ = json.Unmarshal(a, &x), json.Unmarshal(b, &y)
	return strings.HasPrefix(x.Prefix, y.Prefix) || strings.HasPrefix(y.Prefix, x.Prefix)
}

func (c call) jurisdiction() string {
	if j := c.r.Header.Get("Cf-R2-Jurisdiction"); j != "" {
		return j
	}
	return "default"
}

func (c call) inBucket(do func(*Bucket) reply) reply {
	b := c.buckets[c.r.Header.Get("Cf-R2-Jurisdiction")+"/"+c.r.PathValue("bucket")]
	if b == nil {
		return reply{http.StatusNotFound, failed(10006, "The specified bucket does not exist.")}
	}
	return do(b)
}

func (c call) rules() []json.RawMessage {
	var all struct{ Rules []json.RawMessage }
	c.decode(&all)
	return all.Rules
}

func (c call) decode(into any) {
	if err := json.Unmarshal(c.body, into); err != nil {
		c.t.Error(err)
	}
}

// itemWrite is the ID of the permission to write a bucket's objects.
var itemWrite = strings.Repeat("2", 32)

// APIToken is an API token of the account.
type APIToken struct {
	ID, Name, Status, Value string
	Policies                []Policy
}

// Policy is what a token may do.
type Policy struct {
	Effect    string `json:"effect"`
	Groups    []any  `json:"permission_groups"`
	Resources any    `json:"resources"`
}

func (t *APIToken) change(c call) {
	var asked struct {
		Name, Status string
		Policies     []Policy
	}
	c.decode(&asked)
	for _, p := range asked.Policies {
		for i, g := range p.Groups {
			id := g.(map[string]any)["id"]
			name := "Workers R2 Storage Bucket Item Read"
			if id == itemWrite {
				name = "Workers R2 Storage Bucket Item Write"
			}
			p.Groups[i] = map[string]any{"id": id, "name": name}
		}
	}
	t.Name, t.Policies = asked.Name, asked.Policies
	if asked.Status != "" {
		t.Status = asked.Status
	}
}

func (t *APIToken) roll(c call) {
	c.minted++
	t.Value = fmt.Sprintf("value-%d-of-the-token", c.minted)
}

func (t *APIToken) json() map[string]any {
	return map[string]any{"id": t.ID, "name": t.Name, "status": t.Status, "policies": t.Policies}
}

func (c call) onToken(do func(*APIToken) reply) reply {
	for _, t := range c.tokens {
		if t.ID == c.r.PathValue("token") {
			return do(t)
		}
	}
	return reply{http.StatusNotFound, failed(1003, "The token does not exist.")}
}

func (c call) ofScript(do func(*Script) reply) reply {
	s := c.scripts[c.r.PathValue("script")]
	if s == nil {
		return reply{http.StatusNotFound, failed(10007, "This Worker does not exist on your account.")}
	}
	return do(s)
}

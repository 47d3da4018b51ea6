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
	"GET /accounts/{account}/queues": func(c call) reply {
		list := []any{}
		for _, q := range c.queues {
			list = append(list, map[string]any{"queue_id": q.id, "queue_name": q.name})
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

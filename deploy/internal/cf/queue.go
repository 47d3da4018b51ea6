package cf

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cloudflare/cloudflare-go/v7"
	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/queues"
	"github.com/cloudflare/cloudflare-go/v7/r2"
)

const queuesPermission = "Queues Write"

// uploadsPrefix is where a new object is an upload.
const uploadsPrefix = "uploads/"

// created are the ways in which an object comes to be.
var created = []r2.BucketEventNotificationUpdateParamsRulesAction{"PutObject", "CopyObject", "CompleteMultipartUpload"}

// intake is the queues, and the bucket's word to them.
type intake struct {
	site   Site
	api    *queues.QueueService
	events *r2.BucketEventNotificationService
}

func newQueues(site Site, options []option.RequestOption) intake {
	return intake{site: site, api: queues.NewQueueService(options...), events: newBucket(site, options).api.EventNotifications}
}

// ids are the IDs of the queues by their names.
func (q intake) ids(ctx context.Context) (map[string]string, error) {
	ids := map[string]string{}
	pages := q.api.ListAutoPaging(ctx, queues.QueueListParams{AccountID: cloudflare.F(q.site.Account)})
	for pages.Next() {
		ids[pages.Current().QueueName] = pages.Current().QueueID
	}
	return ids, pages.Err()
}

func (q intake) exist() part {
	want := []string{q.site.Uploads, q.site.Dead}
	var have []string
	return part{
		what: "queues", permission: queuesPermission, want: want,
		read: func(ctx context.Context) ([]string, error) {
			ids, err := q.ids(ctx)
			have = slices.DeleteFunc(slices.Clone(want), func(name string) bool { return ids[name] == "" })
			return have, err
		},
		bring: func(ctx context.Context) error {
			for _, name := range want {
				if slices.Contains(have, name) {
					continue
				}
				if _, err := q.api.New(ctx, queues.QueueNewParams{AccountID: cloudflare.F(q.site.Account), QueueName: cloudflare.F(name)}); err != nil {
					return err
				}
			}
			return nil
		},
		remove: func(ctx context.Context) error {
			ids, err := q.ids(ctx)
			if err != nil {
				return err
			}
			for _, name := range have {
				_, err := q.api.Delete(ctx, ids[name], queues.QueueDeleteParams{AccountID: cloudflare.F(q.site.Account)})
				if err != nil && !missing(err) {
					return err
				}
			}
			return nil
		},
	}
}

// notification tells the queue of each upload. The queue is Weir's own: what other rules of the bucket send there goes; rules for
// other queues stay.
func (q intake) notification() part {
	line := func(prefix, suffix string, actions []string) string {
		slices.Sort(actions)
		return fmt.Sprintf("%s is told of %s at %s…%s", q.site.Uploads, strings.Join(actions, ", "), prefix, suffix)
	}
	var actions []string
	for _, a := range created {
		actions = append(actions, string(a))
	}
	return part{
		what: "notifications of " + q.site.Bucket, permission: r2Permission, want: []string{line(uploadsPrefix, "", actions)},
		read: func(ctx context.Context) ([]string, error) {
			got, err := q.events.List(ctx, q.site.Bucket, r2.BucketEventNotificationListParams{AccountID: cloudflare.F(q.site.Account)})
			if missing(err) {
				return nil, nil
			}
			if err != nil {
				return nil, err
			}
			var lines []string
			for _, queue := range got.Queues {
				if queue.QueueName != q.site.Uploads {
					continue
				}
				for _, r := range queue.Rules {
					var actions []string
					for _, a := range r.Actions {
						actions = append(actions, string(a))
					}
					lines = append(lines, line(r.Prefix, r.Suffix, actions))
				}
			}
			return lines, nil
		},
		bring: func(ctx context.Context) error {
			ids, err := q.ids(ctx)
			if err != nil {
				return err
			}
			id := ids[q.site.Uploads]
			// Rules that overlap are refused, so those of this queue go first; nothing else uses it.
			if err := q.silence(ctx, id); err != nil {
				return err
			}
			_, err = q.events.Update(ctx, q.site.Bucket, id, r2.BucketEventNotificationUpdateParams{
				AccountID: cloudflare.F(q.site.Account),
				Rules: cloudflare.F([]r2.BucketEventNotificationUpdateParamsRule{{
					Actions: cloudflare.F(created), Prefix: cloudflare.F(uploadsPrefix), Description: cloudflare.F("Weir: uploads become videos"),
				}}),
			})
			return err
		},
		remove: func(ctx context.Context) error {
			ids, err := q.ids(ctx)
			if err != nil {
				return err
			}
			return q.silence(ctx, ids[q.site.Uploads])
		},
	}
}

// silence ends what the bucket tells a queue.
func (q intake) silence(ctx context.Context, queue string) error {
	_, err := q.events.Delete(ctx, q.site.Bucket, queue, r2.BucketEventNotificationDeleteParams{AccountID: cloudflare.F(q.site.Account)})
	if missing(err) {
		return nil
	}
	return err
}

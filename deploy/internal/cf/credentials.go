package cf

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/cloudflare/cloudflare-go/v7"
	"github.com/cloudflare/cloudflare-go/v7/accounts"
	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/shared"

	"weir/deploy/internal/settings"
)

const (
	tokensPermission = "Account API Tokens Write" //nolint:gosec // the name of a permission
	// itemWrite is the permission to read and write a bucket's objects, and nothing else of it.
	itemWrite = "Workers R2 Storage Bucket Item Write"
)

// credentials is the account API token whose S3 keys the transcoder has. Cloudflare tells its value once, when it makes it; of that, R2 makes
// the S3 keys: the ID, and the SHA-256 of the value (developers.cloudflare.com/r2/api/tokens).
type credentials struct {
	site   Site
	api    *accounts.TokenService
	groups *accounts.TokenPermissionGroupService
	there  []shared.Token // of that name, as read last
}

func newCredentials(site Site, options []option.RequestOption) *credentials {
	return &credentials{site: site, api: accounts.NewTokenService(options...), groups: accounts.NewTokenPermissionGroupService(options...)}
}

func (c *credentials) name() string { return c.site.Worker + ": objects of " + c.site.Bucket }

// resource names the bucket in a policy.
func (c *credentials) resource() string {
	jurisdiction := c.site.Jurisdiction
	if jurisdiction == "" {
		jurisdiction = "default"
	}
	return fmt.Sprintf("com.cloudflare.edge.r2.bucket.%s_%s_%s", c.site.Account, jurisdiction, c.site.Bucket)
}

func (c *credentials) exist() part {
	want := "reads and writes the objects of " + c.site.Bucket + " alone; the settings have its keys"
	return part{
		what: "S3 credentials", permission: tokensPermission, want: []string{want},
		read: func(ctx context.Context) ([]string, error) {
			if err := c.list(ctx); err != nil {
				return nil, err
			}
			var lines []string
			for _, t := range c.there {
				switch {
				case t.Status != shared.TokenStatusActive || !c.right(t):
					lines = append(lines, "the token "+t.ID+" is disabled, or opens something else")
				case t.ID != c.site.Settings.Get("R2_ACCESS_KEY_ID") || c.site.Settings.Get("R2_SECRET_ACCESS_KEY") == "":
					lines = append(lines, "the token "+t.ID+" has keys that the settings do not know")
				default:
					lines = append(lines, want)
				}
			}
			return lines, nil
		},
		bring: c.bring,
		remove: func(ctx context.Context) error {
			// Forgotten first: of a token that is gone, nobody would remember to.
			if err := c.site.Settings.Set(settings.Value{Name: "R2_ACCESS_KEY_ID"}, settings.Value{Name: "R2_SECRET_ACCESS_KEY"}); err != nil {
				return err
			}
			for _, t := range c.there {
				if err := c.delete(ctx, t.ID); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func (c *credentials) list(ctx context.Context) error {
	c.there = nil
	pages := c.api.ListAutoPaging(ctx, accounts.TokenListParams{AccountID: cloudflare.F(c.site.Account)})
	for pages.Next() {
		if t := pages.Current(); t.Name == c.name() {
			c.there = append(c.there, t)
		}
	}
	return pages.Err()
}

// right tells of a token that opens what it should, and no more.
func (c *credentials) right(t shared.Token) bool {
	if len(t.Policies) != 1 || t.Policies[0].Effect != shared.TokenPolicyEffectAllow || len(t.Policies[0].PermissionGroups) != 1 {
		return false
	}
	var policy struct{ Resources map[string]any }
	err := json.Unmarshal([]byte(t.Policies[0].JSON.RawJSON()), &policy)
	return err == nil && len(policy.Resources) == 1 && policy.Resources[c.resource()] == "*" && t.Policies[0].PermissionGroups[0].Name == itemWrite
}

// bring makes one token as it should be, and deletes others of its name. What a broken-off run made, and could not write down, gets
// another value.
func (c *credentials) bring(ctx context.Context) error {
	policies, err := c.policies(ctx)
	if err != nil {
		return err
	}
	account := cloudflare.F(c.site.Account)
	if len(c.there) == 0 {
		made, err := c.api.New(ctx, accounts.TokenNewParams{AccountID: account, Name: cloudflare.F(c.name()), Policies: cloudflare.F(policies)})
		if err != nil {
			return err
		}
		return c.keep(made.ID, made.Value)
	}
	known := max(slices.IndexFunc(c.there, func(t shared.Token) bool { return t.ID == c.site.Settings.Get("R2_ACCESS_KEY_ID") }), 0)
	for i, t := range c.there {
		if i != known {
			if err := c.delete(ctx, t.ID); err != nil {
				return err
			}
		}
	}
	t := c.there[known]
	if t.Status != shared.TokenStatusActive || !c.right(t) {
		if _, err := c.api.Update(ctx, t.ID, accounts.TokenUpdateParams{AccountID: account, Token: shared.TokenParam{
			Name: cloudflare.F(c.name()), Policies: cloudflare.F(policies), Status: cloudflare.F(shared.TokenStatusActive),
		}}); err != nil {
			return err
		}
	}
	if t.ID == c.site.Settings.Get("R2_ACCESS_KEY_ID") && c.site.Settings.Get("R2_SECRET_ACCESS_KEY") != "" {
		return nil
	}
	value, err := c.api.Value.Update(ctx, t.ID, accounts.TokenValueUpdateParams{AccountID: account, Body: map[string]any{}})
	if err != nil {
		return err
	}
	return c.keep(t.ID, *value)
}

func (c *credentials) policies(ctx context.Context) ([]shared.TokenPolicyParam, error) {
	pages := c.groups.ListAutoPaging(ctx, accounts.TokenPermissionGroupListParams{AccountID: cloudflare.F(c.site.Account)})
	for pages.Next() {
		if g := pages.Current(); g.Name == itemWrite {
			return []shared.TokenPolicyParam{{
				Effect:           cloudflare.F(shared.TokenPolicyEffectAllow),
				PermissionGroups: cloudflare.F([]shared.TokenPolicyPermissionGroupParam{{ID: cloudflare.F(g.ID)}}),
				Resources: cloudflare.F[shared.TokenPolicyResourcesUnionParam](
					shared.TokenPolicyResourcesIAMResourcesTypeObjectStringParam{c.resource(): "*"}),
			}}, nil
		}
	}
	if err := pages.Err(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("the account has no permission group %q", itemWrite)
}

// keep writes the S3 keys down.
func (c *credentials) keep(id, value string) error {
	secret := sha256.Sum256([]byte(value))
	return c.site.Settings.Set(settings.Value{Name: "R2_ACCESS_KEY_ID", Text: id},
		settings.Value{Name: "R2_SECRET_ACCESS_KEY", Text: hex.EncodeToString(secret[:])})
}

func (c *credentials) delete(ctx context.Context, id string) error {
	_, err := c.api.Delete(ctx, id, accounts.TokenDeleteParams{AccountID: cloudflare.F(c.site.Account)})
	if missing(err) {
		return nil
	}
	return err
}

package wire

import "weir/edge-auth/internal/intake"

// ReadIntake reads the message to take an upload in. Where the transcoder is stands in the configuration.
//
//	action, key, time, attempts, WEBHOOK_URL, API_KEY, then of the last request its video_id and "1" if it replaces,
//	then status, Retry-After, time of the job and error code of its answer
func ReadIntake(message []byte) (n intake.Notification, s intake.Settings, sent intake.Request, r intake.Reply, ok bool) {
	f := read(message)
	n = intake.Notification{Action: f.text(), Key: f.text(), Time: f.number(), Attempts: f.number()}
	s = intake.Settings{WebhookURL: f.text(), APIKey: f.text()}
	sent = intake.Request{VideoID: f.text(), Replace: f.text() == set}
	r = intake.Reply{Status: f.number(), RetryAfter: f.text(), Created: f.number(), Code: f.text()}
	return n, s, sent, r, f.ended()
}

// AppendIntake appends the message of a step of the intake.
//
//	a request:  "post", URL, bearer, video_id, "1" if it replaces, key, webhook_url
//	an outcome: "done", "retry" or "dead", delay, reason
func AppendIntake(to []byte, n intake.Notification, s intake.Settings, step intake.Step) []byte {
	if step.Request == nil {
		to = appendField(to, string(step.Outcome))
		to = appendNumber(to, step.Delay)
		return appendField(to, step.Reason)
	}
	to = appendField(to, "post")
	to = appendField(to, s.Transcoder+"/transcode")
	to = appendField(to, s.Bearer())
	to = appendField(to, step.Request.VideoID)
	to = appendFlag(to, step.Request.Replace)
	to = appendField(to, n.Key)
	return appendField(to, s.WebhookURL)
}

package media

// Sheet is one published picture of a storyboard: many small pictures side by side and one below the other.
type Sheet struct {
	Name  string `json:"name"` // its object's name within the storyboard's folder
	Bytes int64  `json:"bytes"`
}

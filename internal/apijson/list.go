package apijson

import "github.com/go-json-experiment/json"

// DecodeList shows the items of a list of any kind to visit while they arrive; the API server gives its members in different
// orders.
func DecodeList(list *Stream, meta any, visit func(item []byte) error) error {
	return list.eachMember(func(name string) error {
		if name == "items" {
			return list.eachElement(func() error {
				item, err := list.Value()
				if err != nil {
					return err
				}
				return visit(item)
			})
		}
		value, err := list.Value()
		if err == nil && name == "metadata" {
			err = json.Unmarshal(value, meta)
		}
		return err
	})
}

package cloudsim

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"
)

// reply sends an operation's output, or an error, in the protocol of the service.
func reply(w http.ResponseWriter, r *http.Request, c *call, output any, err error) {
	id := newRequestID()
	status, body := http.StatusOK, []byte(nil)
	if err != nil {
		status, body = encodeError(c.service, id, err)
	} else {
		body = encodeOutput(c, id, output)
	}
	contentType := "application/x-amz-json-1.1"
	switch {
	case c.fault.Effect == Fail && c.fault.Code == "":
		contentType, body = "text/html", []byte("<html><body>Bad gateway</body></html>")
	case c.service == serviceSTS:
		contentType = "text/xml"
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("X-Amzn-Requestid", id)
	w.WriteHeader(status)
	if c.fault.Effect == SlowBody {
		trickle(w, r, body, c.fault.Delay)
		return
	}
	_, _ = w.Write(body) // A client that has gone away is its own affair.
}

// encodeOutput writes a success. STS outputs are complete documents but for the request's id.
func encodeOutput(c *call, id string, output any) []byte {
	if output == nil {
		return nil
	}
	if c.service == serviceSTS {
		return marshalXML(stsResponse{
			XMLName: xml.Name{Space: stsNamespace, Local: c.action + "Response"}, Result: output,
			Metadata: responseMetadata{RequestID: id},
		})
	}
	body, err := json.Marshal(output)
	if err != nil {
		panic(err) // Outputs are structs of this package that always encode.
	}
	return body
}

func encodeError(at service, id string, err error) (status int, body []byte) {
	known, ok := errors.AsType[*apiError](err)
	if !ok {
		known = &apiError{status: http.StatusInternalServerError, code: "InternalFailure", message: err.Error()}
	}
	if at == serviceSTS {
		kind := "Sender"
		if known.status >= http.StatusInternalServerError {
			kind = "Receiver"
		}
		return known.status, marshalXML(stsError{
			XMLName: xml.Name{Space: stsNamespace, Local: "ErrorResponse"},
			Type:    kind, Code: known.code, Message: known.message, RequestID: id,
		})
	}
	fields := map[string]string{"__type": known.code, "message": known.message}
	if known.coral {
		fields["__type"] = "com.amazon.coral.service#" + known.code
	}
	body, err = json.Marshal(fields)
	if err != nil {
		panic(err) // Strings always encode.
	}
	return known.status, body
}

const stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/"

// stsResponse is the envelope of STS's query protocol. Result names its own element.
type stsResponse struct {
	XMLName  xml.Name
	Result   any
	Metadata responseMetadata `xml:"ResponseMetadata"`
}

type responseMetadata struct {
	RequestID string `xml:"RequestId"`
}

type stsError struct {
	XMLName   xml.Name
	Type      string `xml:"Error>Type"`
	Code      string `xml:"Error>Code"`
	Message   string `xml:"Error>Message"`
	RequestID string `xml:"RequestId"`
}

func marshalXML(document any) []byte {
	body, err := xml.Marshal(document)
	if err != nil {
		panic(err) // Outputs are structs of this package that always encode.
	}
	return body
}

// trickle sends a byte every delay, until all are sent or the client has gone away.
func trickle(w http.ResponseWriter, r *http.Request, body []byte, delay time.Duration) {
	connection := http.NewResponseController(w)
	_ = connection.Flush()
	for i := range body {
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-r.Context().Done():
			timer.Stop()
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(body[i : i+1])
		_ = connection.Flush()
	}
}

// reset makes the client see a TCP reset rather than an orderly end.
func reset(w http.ResponseWriter) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := connection.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = connection.Close()
}

// newRequestID is a random UUID, version 4 (RFC 9562).
func newRequestID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // It never fails.
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

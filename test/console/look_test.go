package console_test

import (
	"testing"

	"github.com/chromedp/chromedp"
)

func TestLook(t *testing.T) {
	b := openBrowser(t, 1440, 900)
	b.open("/")
	b.do(chromedp.WaitVisible(".signin"))
	b.picture("sign-in")
	b.signIn(world.tokens["olivia"], "/")
	b.picture("changes")
	b.do(chromedp.Click(`//*[contains(@class,"row")][.//*[text()="checkout"]]`), chromedp.WaitVisible(".change"))
	b.picture("change")
	b.open("/?page=trails")
	b.settled()
	b.picture("trails")
	b.press("New trail")
	b.picture("new-trail")
}

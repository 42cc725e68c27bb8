from playwright.sync_api import sync_playwright
with sync_playwright() as p:
    b=p.chromium.launch(executable_path="/usr/bin/chromium",args=["--no-sandbox","--disable-gpu"])
    pg=b.new_page(viewport={"width":1100,"height":1000})
    pg.goto("file:///tmp/w-ch2/_build/html/chapters/02_hugging_face_ecosystem.html"); pg.wait_for_timeout(1500)
    print(pg.evaluate("document.documentElement.scrollHeight"))
    h=pg.locator("h3:has-text('See it')").first
    h.scroll_into_view_if_needed(); pg.wait_for_timeout(300); pg.evaluate("window.scrollBy(0,500)"); pg.wait_for_timeout(300); pg.screenshot(path="/tmp/ch2x/shot1.png")
    pg.locator("h3:has-text('Three methods')").first.scroll_into_view_if_needed(); pg.evaluate("window.scrollBy(0,900)"); pg.wait_for_timeout(300); pg.screenshot(path="/tmp/ch2x/shot2.png")
    pg.locator("h3:has-text('A pickle runs code')").first.scroll_into_view_if_needed(); pg.evaluate("window.scrollBy(0,900)"); pg.wait_for_timeout(300); pg.screenshot(path="/tmp/ch2x/shot3.png")
    b.close()

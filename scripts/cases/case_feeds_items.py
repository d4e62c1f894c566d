"""F06 to F10: items with odd fields, titles, contents, dates, people and packing. Made up; every host is an example."""

import gzip
import zlib

from feeds import ATOM, DC, atom, document, entry, item, json_feed, rss

# F06: a JSON feed with one odd field.
OTHER = '{"id":"2","content_text":"y"}'
ODD = {
    "F06a": ("authors is an object", '"authors":{"name":"Jo"}'),
    "F06b": ("author is a text", '"author":"Jo"'),
    "F06c": ("size_in_bytes is a text", '"attachments":[{"url":"https://j.example/a.mp3","mime_type":"audio/mpeg","size_in_bytes":"123"}]'),
    "F06d": ("size_in_bytes is 123.0", '"attachments":[{"url":"https://j.example/a.mp3","mime_type":"audio/mpeg","size_in_bytes":123.0}]'),
    "F06e": ("an attachment without mime_type", '"attachments":[{"url":"https://j.example/a.mp3"}]'),
    "F06f": ("tags is a text", '"tags":"a,b"'),
    "F06g": ("date_published is a number", '"date_published":1793613600'),
    "F06-null": ("authors, tags, attachments, title, image are null", '"authors":null,"tags":null,"attachments":null,"title":null,"image":null'),
    "F06-tag-number": ("a tag is a number, another null", '"tags":["a",5,null]'),
    "F06-attachment": ("an attachment is null, another a text", '"attachments":[null,"https://j.example/a.mp3"]'),
    "F06-title-number": ("title is a number, url an object", '"title":2026,"url":{"a":1}'),
    "F06-date": ("dates are empty or words", '"date_published":"","date_modified":"yesterday"'),
    "F06-size-negative": ("size_in_bytes is -1, duration 1e400", '"attachments":[{"url":"https://j.example/a.mp3","mime_type":"a/b","size_in_bytes":-1,"duration_in_seconds":1e400}]'),
}  # fmt: skip
for name, (tried, field) in ODD.items():
    document(name, f"JSON: {tried}", json_feed('[{"id":"1","content_text":"x",%s},%s]' % (field, OTHER)), 2)
document("F06h", "JSON: the feed has no title", json_feed(f"[{OTHER}]", ""), 1)
document("F06i", "JSON: items is null", json_feed("null"), 0)
document("F06-id-number", "JSON: ids are numbers", json_feed('[{"id":1,"content_text":"x"},{"id":2,"content_text":"y"}]'), 2, id="1")
document("F06-item-null", "JSON: an item is null, another a text", json_feed(f'[null,"x",{OTHER}]'), 1, id="2")
document("F06-bom", "JSON: a BOM at the beginning", b"\xef\xbb\xbf" + json_feed(f"[{OTHER}]").encode(), 1)
document("F06-version", "JSON: no version, the type application/json", '{"title":"J","items":[%s]}' % OTHER, 1, {"Content-Type": "application/json"})

# F07: titles are text.
document("F07a", "Atom, a title of type html", atom('<entry><id>h</id><title type="html">Salt &amp;amp; &lt;b&gt;pepper&lt;/b&gt; caf&amp;eacute;</title></entry>'), 1, title="Salt & pepper café")
document("F07b", "RSS, a title in CDATA with references", rss(item(1, "<![CDATA[Anna&#8217;s caf&eacute; &amp; bar]]>")), 1, title="Anna’s café & bar")
document("F07c", "RSS, &eacute; and &nbsp; in a title", rss(item(1, "Caf&eacute;&nbsp;bar")), 1, title="Café\u00a0bar")
document("F07-less", "RSS, a title with 1 &lt; 2 > 0", rss(item(1, "1 &lt; 2 > 0")), 1, title="1 < 2 > 0")
document("F07-generic", "RSS, a title with Vec&lt;u8&gt;, no markup", rss(item(1, "Vec&lt;u8&gt; is fast")), 1, title="Vec<u8> is fast")
document("F07-text", "Atom, a title of type text with &amp;amp;", atom('<entry><id>h</id><title type="text">a &amp;amp; b</title></entry>'), 1, title="a &amp; b")
document("F07-json", "JSON, a title with &amp;", json_feed('[{"id":"1","content_text":"x","title":"a &amp; b"}]'), 1, title="a & b")
document("F07-json-text", "JSON, a title with what is no markup", json_feed('[{"id":"1","content_text":"x","title":"Vec<T> & a < b"}]'), 1, title="Vec<T> & a < b")
XHTML_TITLE = '<entry><id>h</id><title type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">Less: <em>&lt;</em> &amp; more</div></title></entry>'
document("F07-xhtml", "Atom, a title of type xhtml", atom(XHTML_TITLE), 1, title="Less: < & more")
document("F07-script", "Atom, a title of type html with a script", atom('<entry><id>h</id><title type="html">A &lt;script&gt;bad()&lt;/script&gt;B</title></entry>'), 1, title=lambda title: "<script" not in title)
document("F07-blank", "RSS, a title over several lines", rss(item(1, "\n   One\n   two\n")), 1, title=lambda title: title.split() == ["One", "two"])

# F08: content is what the author wrote.
XHTML = '<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><a href="https://x.example/?a=1&amp;b=2" title="say &quot;hi&quot; &lt;now&gt;">l</a><br/></div></content>'
document("F08a", "xhtml with quotes in an attribute", atom(entry(1, XHTML)), 1, content__has='title="say &quot;hi&quot;')
document("F08b", "markup in a description, not escaped", rss(item(1, more="<description><p>one <b>bold</b></p></description>")), 1, summary__has="bold")
MEDIA = f'{ATOM} xmlns:media="http://search.yahoo.com/mrss/"'
GROUP = '<media:group><media:thumbnail url="https://i.example/1.jpg"/><media:description>What the clip is about</media:description></media:group>'
document("F08d", "the text stands in media:description only", atom(entry(1, GROUP), attributes=MEDIA), 1, summary__has="What the clip")
ESCAPED = '<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">1 &lt; 2 &amp; &lt;script&gt;</div></content>'
document("F08-escaped", "xhtml with &lt;script&gt; as text", atom(entry(1, ESCAPED)), 1, content__has="&lt;script")
ENCODED = 'version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"'
BOTH = "<description>short</description><content:encoded><![CDATA[<p>a &lt;b&gt; & c</p>]]></content:encoded>"
document("F08-encoded", "content:encoded beside description", rss(item(1, more=BOTH), attributes=ENCODED), 1, content="<p>a &lt;b&gt; & c</p>", summary="short")
PREFIXED = '<content type="xhtml"><x:div xmlns:x="http://www.w3.org/1999/xhtml"><x:p>para</x:p></x:div></content>'
document("F08-prefix", "xhtml with a prefix", atom(entry(1, PREFIXED)), 1, content__has="para")
document("F08-media-rss", "RSS, media:description only", rss(item(1, more=GROUP), attributes='version="2.0" xmlns:media="http://search.yahoo.com/mrss/"'), 1, summary__has="What the clip")

# F09: names, dates, people.
RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"'
FAILED = "<title>Build failed</title><link>https://n.example/latest</link></item>"
document("F09a", "RSS 1.0, told apart by rdf:about alone", f'<rdf:RDF {RDF}><channel rdf:about="https://n.example/"><title>N</title></channel><item rdf:about="urn:x:1">{FAILED}<item rdf:about="urn:x:2">{FAILED}</rdf:RDF>', 2)
dated = lambda text, name="pubDate": rss(item(1, more=f"<{name}>{text}</{name}>"), attributes=f'version="2.0" {DC}')  # noqa: E731
document("F09b", "dc:date without seconds", dated("2026-11-02T10:00+01:00", "dc:date"), 1, published="2026-11-02T09:00:00Z")
document("F09d", "an author as RSS says: mia@example.org (Mia Ng)", rss(item(1, more="<author>mia@example.org (Mia Ng)</author>")), 1, authors=lambda a: a[0]["name"] == "Mia Ng" and a[0]["email"] == "mia@example.org")
document("F09e", "Atom, the author of the feed", atom(entry(1), more="<author><name>Mira</name></author>"), 1, authors=lambda a: a and a[0]["name"] == "Mira")
document("F09f", "a link whose rel is an address", atom('<entry><id>i</id><title>I</title><link rel="http://www.iana.org/assignments/relation/alternate" href="https://atelier.example/i"/></entry>'), 1, url="https://atelier.example/i")
document("F09g", "an enclosure of nothing", rss(item(1, more='<enclosure url="" type="" length=""/>')), 1, enclosures=[])
for name, text, right in (
    ("F09-est", "Mon, 02 Nov 2026 05:00:00 EST", "2026-11-02T10:00:00Z"),
    ("F09-year", "Mon, 02 Nov 26 10:00:00 GMT", "2026-11-02T10:00:00Z"),
    ("F09-short", "2 Nov 2026 10:00 GMT", "2026-11-02T10:00:00Z"),
    ("F09-iso", "2026-11-02T11:00:00+01:00", "2026-11-02T10:00:00Z"),
    ("F09-day", "Monday, 02 November 2026 10:00:00 GMT", "2026-11-02T10:00:00Z"),
    ("F09-wrong-day", "Fri, 02 Nov 2026 10:00:00 +0000", "2026-11-02T10:00:00Z"),
):
    document(name, f"pubDate {text}", dated(text), 1, published=right)
document("F09-angle", "an author as mail writes it", rss(item(1, more="<author>Mia Ng &lt;mia@example.org&gt;</author>")), 1, authors=lambda a: a[0]["name"] == "Mia Ng" and a[0]["email"] == "mia@example.org")
document("F09-creator", "dc:creator", dated("Mia Ng", "dc:creator"), 1, authors=lambda a: a and a[0]["name"] == "Mia Ng")
document("F09-permalink", "no link, but a guid that is an address", rss("<item><guid>https://depot.example/g</guid><title>T</title></item>"), 1, url="https://depot.example/g")
document("F09-link-blank", "a link with blanks and line ends around it", rss('<item><guid isPermaLink="false">1</guid><title>T</title><link>\n  https://depot.example/1\n </link></item>'), 1, url="https://depot.example/1")

# F10: packing.
PLAIN = rss(item(1)).encode()
raw = zlib.compressobj(wbits=-15)
RAW = raw.compress(PLAIN) + raw.flush()
for name, tried, body, encoding in (
    ("F10a", "Content-Encoding: GZIP", gzip.compress(PLAIN), "GZIP"),
    ("F10b", "Content-Encoding: x-gzip", gzip.compress(PLAIN), "x-gzip"),
    ("F10c", "gzip of two members", gzip.compress(PLAIN[:60]) + gzip.compress(PLAIN[60:]), "gzip"),
    ("F10-zlib", "Content-Encoding: deflate, zlib", zlib.compress(PLAIN), "deflate"),
    ("F10-raw", "Content-Encoding: deflate, without zlib's head", RAW, "deflate"),
    ("F10-identity", "Content-Encoding: identity", PLAIN, "identity"),
    ("F10-twice", "Content-Encoding: gzip, gzip", gzip.compress(gzip.compress(PLAIN)), "gzip, gzip"),
    ("F10-blank", "Content-Encoding: gzip, identity", gzip.compress(PLAIN), "gzip, identity"),
    ("F10-lie", "Content-Encoding: gzip, and it is not packed", PLAIN, "gzip"),
    ("F10-behind", "gzip with zeroes behind its end", gzip.compress(PLAIN) + b"\0" * 64, "gzip"),
):
    document(name, tried, body, 1, {"Content-Encoding": encoding})
document("F10-file", "a packed file without Content-Encoding", gzip.compress(PLAIN), 1, {"Content-Type": "application/gzip"})

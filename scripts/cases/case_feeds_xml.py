"""F01 to F05: documents whose text, version or encoding is not as the rules say. Made up; every host is an example."""

from feeds import ATOM, atom, declared, document, entry, item, rss

RUSSIAN, JAPANESE = "Привет мир", "ファイル一覧"

# F01: text that a repair of ours damaged.
AUTHOR = "<author>山田（yamada@example.jp）</author>"
SHIFT_JIS = b'<?xml version="1.0" encoding="Shift_JIS"?>' + rss(item(1, JAPANESE, AUTHOR), head="").encode("shift_jis")
document("F01a", "Shift_JIS with an author in full-width brackets", SHIFT_JIS, 1, title=JAPANESE)
EUC = b'<?xml version="1.0" encoding="EUC-JP"?>' + rss(item(1, JAPANESE, AUTHOR), head="").encode("euc_jp")
document("F01-euc", "the same in EUC-JP", EUC, 1, title=JAPANESE)
document("F01-utf8", "the same in UTF-8; the author's name", rss(item(1, JAPANESE, AUTHOR)), 1, title=JAPANESE, authors__has="山田")
LATIN = declared("windows-1252", "Café – “one”", "cp1252").replace(b"</item>", "<author>Zoë (zoe@example.org)</author></item>".encode("cp1252"))
document("F01-1252", "windows-1252 with an author in brackets", LATIN, 1, title="Café – “one”", authors__has="Zoë")

# F02: nothing found, and no word.
document("F02a", "RSS in the namespace of Atom", rss(item(1), attributes=f'version="2.0" {ATOM}'), 1)
document("F02b", "RSS in the namespace of UserLand", rss(item(1), attributes='version="2.0" xmlns="http://backend.userland.com/rss2"'), 1)
RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
RSS_090 = f'<?xml version="1.0"?><rdf:RDF {RDF} xmlns="http://my.netscape.com/rdf/simple/0.9/"><channel><title>N</title></channel><item><title>One</title><link>https://n.example/1</link></item></rdf:RDF>'
document("F02c", "RSS 0.90", RSS_090, 1, title="One")
ATOM_03 = '<?xml version="1.0"?><feed version="0.3" xmlns="http://purl.org/atom/ns#"><title>A</title><entry><id>tag:a,1</id><title>Old</title><link rel="alternate" href="https://a.example/1"/><issued>2026-11-02T10:00:00Z</issued></entry></feed>'
document("F02d", "Atom 0.3", ATOM_03, 1, title="Old", published="2026-11-02T10:00:00Z")
document("F02-unknown-ns", "RSS in a namespace of somebody's own", rss(item(1), attributes='version="2.0" xmlns="https://cms.example/ns"'), 1)
document("F02-atom-prefix", "Atom with a prefix on every element",
         '<a:feed xmlns:a="http://www.w3.org/2005/Atom"><a:title>T</a:title><a:entry><a:id>1</a:id><a:title>One</a:title></a:entry></a:feed>', 1, title="One")
document("F02-atom-case", "Atom whose namespace is in lower case, or missing", atom(entry(1), attributes='xmlns="http://www.w3.org/2005/atom"'), 1)
document("F02-atom-none", "Atom without a namespace", atom(entry(1), attributes=""), 1)
document("F02-doctype", "RSS 0.91 with Netscape's DOCTYPE",
         '<?xml version="1.0"?><!DOCTYPE rss PUBLIC "-//Netscape Communications//DTD RSS 0.91//EN" "http://my.netscape.com/publish/formats/rss-0.91.dtd">' + rss(item(1), head="", attributes='version="0.91"'), 1)
document("F02-rss10-https", "RSS 1.0 whose namespace has https",
         f'<rdf:RDF {RDF} xmlns="https://purl.org/rss/1.0/"><channel><title>N</title></channel><item><title>One</title><link>https://n.example/1</link></item></rdf:RDF>', 1)

# F03: one blemish costs the whole feed.
document("F03a", "a bare & in a title", rss(item(2, "Salt & pepper"), item(1)), 2, title="Salt & pepper")
BARE_LINK = '<item><guid isPermaLink="false">2</guid><title>t</title><link>https://depot.example/?a=1&b=2</link></item>'
document("F03b", "a bare & in a link", rss(BARE_LINK, item(1)), 2, url="https://depot.example/?a=1&b=2")
document("F03c", "an emoji as two references of surrogates", rss(item(2, "Grin &#55357;&#56832; face"), item(1)), 2, title="Grin 😀 face")
document("F03d", "one byte of Latin-1 in UTF-8", rss(item(2, "Caf@"), item(1)).encode().replace(b"Caf@", b"Caf\xe9"), 2, title="Caf\ufffd")
document("F03e", 'title type="plain"', atom(entry(2, title='<title type="plain">Odd</title>'), entry(1)), 2, title="Odd")
document("F03f", "an xml:base that is no address", atom('<entry xml:base="http://[bad"><id>b</id><title>B</title><link href="p"/></entry>', entry(1)), 2, title="B")
ITUNES = 'version="2.0" xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd"'
document("F03g", "itunes:duration of 23 digits", rss(item(2, more="<itunes:duration>99999999999999999999999</itunes:duration>"), item(1), attributes=ITUNES), 2)
document("F03h", "an XML declaration within a description", rss(item(2, more='<description><?xml version="1.0" encoding="iso-8859-1"?>x</description>'), item(1)), 2)
document("F03-less", "a bare < in a title: a < b", rss(item(2, "if a < b"), item(1)), 2, title="if a < b")
document("F03-control", "U+0001 and U+000B in a title, as bytes and as &#1;", rss(item(2, "on\x01e\x0b &#1;two"), item(1)), 2, title__has="two")
document("F03-hexref", "references beyond Unicode: &#x110000; &#xD800; &#0;", rss(item(2, "a &#x110000;&#xD800;&#0; b"), item(1)), 2, title__has="b")
document("F03-prefix", "an element whose prefix is not declared", rss(item(2, more='<media:thumbnail url="https://i.example/1.jpg"/>'), item(1)), 2)
document("F03-void", "<br> and <img> left open in a description", rss(item(2, more='<description>one<br>two<img src="x">three</description>'), item(1)), 2, summary__has="three")
document("F03-twice", "an attribute that stands twice", rss(item(2, more='<enclosure url="https://i.example/1.mp3" type="a/b" type="a/b"/>'), item(1)), 2)
document("F03-cut", "a document that ends in the middle of the third item", rss(item(3), item(2), item(1))[:-80].rsplit("<guid", 1)[0], 2)
document("F03-before", "blank lines and a warning before the declaration", "\n\n<br />Warning: x in y.php on line 3\n" + rss(item(2), item(1)), 2)
document("F03-behind", "text and a second root behind the end", rss(item(2), item(1)) + "<!-- cached --> <script>track()</script>", 2)
document("F03-cdata", "]]> in the middle of CDATA", rss(item(2, "<![CDATA[a ]]> b]]>"), item(1)), 2)
document("F03-bad-date", "a date that is none", rss(item(2, more="<pubDate>yesterday</pubDate>"), item(1)), 2)
document("F03-comment", "a comment with -- in it", rss("<!-- a -- b -->", item(2), item(1)), 2)

# F04: versions.
for name, version in (("F04a", ""), ("F04b", 'version="2"'), ("F04c", 'version="2.0.1"'), ("F04d", 'version="0.93"')):
    document(name, f"RSS with {version or 'no version'}", rss(item(1), attributes=version), 1)
for name, version in (("F04-2.1", "2.1"), ("F04-words", "RSS 2.0"), ("F04-blank", " 2.0 "), ("F04-empty", "")):
    document(name, f'RSS with version="{version}"', rss(item(1), attributes=f'version="{version}"'), 1)

# F05: encodings. The order of evidence is the mark at the beginning, the HTTP header, the declaration, the content.
UTF16 = rss(item(1, RUSSIAN), head='<?xml version="1.0" encoding="UTF-16"?>')
document("F05a", "UTF-16 with the high byte first", b"\xfe\xff" + UTF16.encode("utf-16-be"), 1, title=RUSSIAN)
document("F05b", "says UTF-16, is UTF-8", declared("utf-16", "Grüezi", "utf-8"), 1, title="Grüezi")
HEADER = {"Content-Type": "text/xml; charset=windows-1251"}
document("F05c", "windows-1251 by the HTTP header alone", rss(item(1, RUSSIAN), head='<?xml version="1.0"?>').encode("cp1251"), 1, HEADER, title=RUSSIAN)
document("F05d", "a BOM of UTF-8, and declared as windows-1251", b"\xef\xbb\xbf" + declared("windows-1251", RUSSIAN, "utf-8"), 1, title=RUSSIAN)
document("F05f", "says us-ascii, is UTF-8", declared("us-ascii", "Grüezi", "utf-8"), 1, title="Grüezi")
document("F05-le", "UTF-16 with the low byte first", b"\xff\xfe" + UTF16.encode("utf-16-le"), 1, title=RUSSIAN)
document("F05-le-bare", "the same without a mark at the beginning", UTF16.encode("utf-16-le"), 1, title=RUSSIAN)
QUOTED = {"Content-Type": 'application/rss+xml; version=2; CHARSET="KOI8-R"'}
document("F05-quoted", 'KOI8-R by a header with CHARSET="KOI8-R"', rss(item(1, RUSSIAN), head="").encode("koi8-r"), 1, QUOTED, title=RUSSIAN)
document("F05-unknown", "an encoding that nobody knows, is UTF-8", declared("x-own", "Grüezi", "utf-8"), 1, title="Grüezi")
document("F05-1252", "says iso-8859-1, has the quotes of windows-1252", declared("iso-8859-1", "It’s “so”", "cp1252"), 1, title="It’s “so”")
document("F05-gbk", "says gb2312, has characters of GBK", declared("gb2312", "镕基 测试", "gbk"), 1, title="镕基 测试")
document("F05-none", "no declaration, no header, is windows-1252", rss(item(1, "Zürich"), head="").encode("cp1252"), 1, title__has="rich")

//go:build linux

package files

import "strings"

// typeOf is the media type of a file by the extension of its name.
func (t *Tree) typeOf(path string) string {
	name := path[strings.LastIndexByte(path, '/')+1:]
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return unknownType
	}
	ext := strings.ToLower(name[dot:])
	if typ, ok := t.o.Types[ext]; ok {
		return typ
	}
	if typ, ok := types[ext]; ok {
		return typ
	}
	return unknownType
}

const unknownType = "application/octet-stream"

// types is our own, so that an answer does not depend on what the machine has
// installed. Text is UTF-8, but for formats that say so themselves (XML) or are
// nothing else (JSON).
var types = map[string]string{
	".css": "text/css; charset=utf-8", ".csv": "text/csv; charset=utf-8", ".htm": "text/html; charset=utf-8",
	".html": "text/html; charset=utf-8", ".ics": "text/calendar; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".log": "text/plain; charset=utf-8", ".md": "text/markdown; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
	".text": "text/plain; charset=utf-8", ".txt": "text/plain; charset=utf-8", ".vcf": "text/vcard; charset=utf-8",
	".vtt": "text/vtt; charset=utf-8",

	".atom": "application/atom+xml", ".geojson": "application/geo+json", ".json": "application/json",
	".jsonld": "application/ld+json", ".map": "application/json", ".rss": "application/rss+xml",
	".webmanifest": "application/manifest+json", ".xhtml": "application/xhtml+xml", ".xml": "application/xml",
	".yaml": "application/yaml", ".yml": "application/yaml",

	".avif": "image/avif", ".bmp": "image/bmp", ".gif": "image/gif", ".ico": "image/vnd.microsoft.icon",
	".jpeg": "image/jpeg", ".jpg": "image/jpeg", ".jxl": "image/jxl", ".png": "image/png", ".svg": "image/svg+xml",
	".tif": "image/tiff", ".tiff": "image/tiff", ".webp": "image/webp",

	".aac": "audio/aac", ".flac": "audio/flac", ".m4a": "audio/mp4", ".mp3": "audio/mpeg", ".oga": "audio/ogg",
	".ogg": "audio/ogg", ".opus": "audio/ogg", ".wav": "audio/wav", ".weba": "audio/webm",
	".m4v": "video/mp4", ".mkv": "video/matroska", ".mov": "video/quicktime", ".mp4": "video/mp4",
	".mpeg": "video/mpeg", ".ogv": "video/ogg", ".webm": "video/webm",
	".m3u8": "application/vnd.apple.mpegurl", ".mpd": "application/dash+xml", ".ts": "video/mp2t",

	".otf": "font/otf", ".ttf": "font/ttf", ".woff": "font/woff", ".woff2": "font/woff2",

	".7z": "application/x-7z-compressed", ".bz2": "application/x-bzip2", ".epub": "application/epub+zip",
	".gz": "application/gzip", ".jar": "application/java-archive", ".pdf": "application/pdf", ".rtf": "application/rtf",
	".tar": "application/x-tar", ".wasm": "application/wasm", ".xz": "application/x-xz", ".zip": "application/zip",
	".zst":  "application/zstd",
	".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".odp":  "application/vnd.oasis.opendocument.presentation",
	".ods":  "application/vnd.oasis.opendocument.spreadsheet",
	".odt":  "application/vnd.oasis.opendocument.text",
	".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}

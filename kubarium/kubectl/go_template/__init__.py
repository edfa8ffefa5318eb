"""Go's text/template, as far as `-o go-template` needs it: `{{range .items}}{{.metadata.name}}{{"\\n"}}{{end}}`.

    text ──▶ lexer (pieces) ──▶ parser (nodes) ──▶ evaluate (text); functions: len, index, printf …; values: Go's words

There is no well-kept Python library for it. What it cannot read or do is a TemplateError in Go's words.
Source: https://pkg.go.dev/text/template
"""

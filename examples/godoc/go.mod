module example.com/godoc

go 1.23.0

require golang.org/x/tools v0.36.0

require (
	github.com/yuin/goldmark v1.4.13 // indirect
	golang.org/x/mod v0.27.0 // indirect
)

// Command tektontypes tells how Go writes a Pipeline as JSON, of which Tekton makes the checksum that
// a signature is over: for each struct the names of its fields in their order, their types, and
// whether they are left out when empty. The result is tekton-fields.json of workflowexecution/bundles; to write it again:
//
//	cd tests/stack/modules/tekton-latest && go run ../../tektontypes/main.go > ../../../../workflowexecution/bundles/tekton-fields.json
//
// With an argument it reads a Pipeline from standard input instead, and prints the checksum that this
// version of Tekton makes of it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
)

var (
	marshaler = reflect.TypeFor[json.Marshaler]()
	structs   = map[string][][3]string{}
)

func main() {
	if len(os.Args) > 1 {
		fmt.Println(checksum())
		return
	}
	name(reflect.TypeFor[v1.Pipeline]())
	lines := []string{}
	for _, known := range slices.Sorted(maps.Keys(structs)) {
		line, err := json.Marshal(structs[known])
		if err != nil {
			log.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%q: %s", known, line))
	}
	fmt.Printf("{\n%s\n}\n", strings.Join(lines, ",\n"))
}

func checksum() string {
	pipeline := v1.Pipeline{}
	if err := json.NewDecoder(os.Stdin).Decode(&pipeline); err != nil {
		log.Fatal(err)
	}
	// As the reconciler does with what a resolver has fetched.
	pipeline.SetDefaults(context.Background())
	sum, err := pipeline.Checksum()
	if err != nil {
		log.Fatal(err)
	}
	return fmt.Sprintf("%x", sum)
}

// name is how fields.json calls a type: `!` stands before one that writes itself.
func name(kind reflect.Type) string {
	switch kind.Kind() {
	case reflect.Pointer:
		return "*" + name(kind.Elem())
	case reflect.Slice:
		return "[]" + name(kind.Elem())
	case reflect.Map:
		return "{}" + name(kind.Elem())
	case reflect.Struct:
		if kind.Implements(marshaler) || reflect.PointerTo(kind).Implements(marshaler) {
			return "!" + kind.Name()
		}
		full := kind.String()
		if _, known := structs[full]; !known {
			structs[full] = nil
			structs[full] = fields(kind)
		}
		return full
	default:
		return kind.Kind().String()
	}
}

func fields(kind reflect.Type) [][3]string {
	found := [][3]string{}
	for i := range kind.NumField() {
		field := kind.Field(i)
		own, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case own == "-":
		case field.Anonymous && own == "":
			found = append(found, fields(field.Type)...)
		default:
			found = append(found, [3]string{own, name(field.Type), options})
		}
	}
	return found
}

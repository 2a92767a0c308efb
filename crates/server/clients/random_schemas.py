"""Random JSON schemas whose answers stay short: of every kind that the server enforces."""

import random
import string

PATTERNS = ["^[a-z]{1,8}$", "^[A-Z][0-9]{2,4}$", "^(red|green|blue)-[0-9]+$", "^[a-f0-9]{4}(-[a-f0-9]{2})?$"]


class Schemas:
    """The same seed gives the same schemas."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.definitions = {}

    def whole(self):
        """A schema of an object, with the definitions that it refers to."""
        self.definitions = {}
        schema = self.object(3)
        if self.definitions:
            schema["$defs"] = self.definitions
        return schema

    def any(self, depth):
        leaves = [self.string, self.integer, self.number, self.enum, self.constant, self.boolean]
        nests = [self.object, self.array, self.any_of, self.reference]
        return self.dice.choice(leaves + (nests if depth > 0 else []))(depth - 1)

    def name(self):
        return "".join(self.dice.choices(string.ascii_lowercase, k=self.dice.randint(1, 6)))

    def object(self, depth):
        names = sorted({self.name() for _ in range(self.dice.randint(1, 3))})
        schema = {"type": "object", "properties": {name: self.any(depth) for name in names}}
        schema["required"] = [name for name in names if self.dice.random() < 0.7]
        # Other properties are free where the schema leaves them so: answers are long then, so seldom.
        schema["additionalProperties"] = self.any(0) if self.dice.random() < 0.1 else False
        return schema

    def array(self, depth):
        least = self.dice.randint(0, 2)
        return {"type": "array", "items": self.any(depth), "minItems": least, "maxItems": least + self.dice.randint(0, 2)}

    def any_of(self, depth):
        return {"anyOf": [self.any(depth) for _ in range(self.dice.randint(2, 3))]}

    def reference(self, depth):
        name = f"d{len(self.definitions)}"
        self.definitions[name] = {}  # taken, before what it refers to takes the next
        self.definitions[name] = self.any(min(depth, 1))
        return {"$ref": f"#/$defs/{name}"}

    def string(self, _):
        if self.dice.random() < 0.4:
            return {"type": "string", "pattern": self.dice.choice(PATTERNS)}
        least = self.dice.randint(0, 4)
        return {"type": "string", "minLength": least, "maxLength": least + self.dice.randint(0, 8)}

    def integer(self, _):
        least = self.dice.randint(-1000, 1000)
        schema = {"type": "integer", "minimum": least, "maximum": least + self.dice.randint(0, 500)}
        if self.dice.random() < 0.3:
            schema = {"type": "integer", "exclusiveMinimum": least - 1, "exclusiveMaximum": least + 40}
        return schema

    def number(self, _):
        least = round(self.dice.uniform(-50, 50), 2)
        return {"type": "number", "minimum": least, "maximum": round(least + self.dice.uniform(1, 20), 2)}

    def enum(self, _):
        values = [self.name(), self.dice.randint(-9, 9), None, True, 1.5, "a \"quoted\" \\ name", "Ünal"]
        return {"enum": self.dice.sample(values, self.dice.randint(1, 4))}

    def constant(self, _):
        return {"const": self.dice.choice([self.name(), 7, None, {"a": [1]}])}

    def boolean(self, _):
        return {"type": self.dice.choice(["boolean", "null"])}

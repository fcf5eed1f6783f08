"""The Responses API: what is asked, said, stored, generated in the background and told again."""

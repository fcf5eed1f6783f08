"""smalt: the transparent layer between applications and Azure OpenAI."""

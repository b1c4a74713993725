package api

import "github.com/gofiber/fiber/v2"

func (s *server) metrics(c *fiber.Ctx) error {
	text, contentType, err := s.engine.Metrics(c.Get(fiber.HeaderAccept))
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, contentType)
	return c.Send(text)
}
